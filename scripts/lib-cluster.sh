# shellcheck shell=bash
# What scripts/bench and scripts/demo share: one throwaway cluster with the extension preloaded, and
# a program beside it.  Source it after lib.sh; it sets $source and $cluster.
# shellcheck source=scripts/lib.sh disable=SC2154

# Packages, a copy of the checkout that the server's user can read, built into a server of its own.
prepare_server() {
	local major=$1
	install_packages "postgresql-$major" "postgresql-server-dev-$major" g++ make python3
	make_workspace
	trap finish EXIT
	source=$workspace/source
	say "building safe_migrate for PostgreSQL $major"
	copy_checkout "$source"
	private_server "$major" "$workspace/server"
	build_and_install "$source" >"$workspace/build.log" 2>&1 || {
		tail -n 30 "$workspace/build.log" >&2
		die "the build failed"
	}
}

# Arguments are further lines of postgresql.conf.
start_cluster() {
	cluster=$workspace/cluster
	mkdir -p "$cluster"
	[ "$(id -u)" != 0 ] || chown postgres: "$cluster"
	as_server "$bindir/initdb" --no-sync -U postgres -A trust -E UTF8 --locale=C.UTF-8 -D "$cluster/data" >"$workspace/initdb.log" 2>&1 || {
		cat "$workspace/initdb.log" >&2
		die "initdb failed"
	}
	{
		printf '%s\n' "listen_addresses = ''" "unix_socket_directories = '$cluster'" \
			"shared_preload_libraries = 'safe_migrate'" "autovacuum = off" "log_line_prefix = '%m [%p] %b '" "$@"
	} >>"$cluster/data/postgresql.conf"
	# (pg_ctl complains of a current folder that it may not read)
	(cd "$cluster" && as_server "$bindir/pg_ctl" -D "$cluster/data" -l "$cluster/server.log" -w -s start) || {
		tail -n 20 "$cluster/server.log" >&2
		die "the server did not start"
	}
}

# Runs a python program as the server's user and waits for it; ^C reaches it as SIGTERM, so that it
# can end its own children before the server goes: from when it listens on (test/bench/script.py).
run_beside_cluster() {
	local program=$1 status=0
	shift
	# shellcheck disable=SC2016
	as_server sh -c 'trap "" INT TERM; cd "${0%/*}" && echo $$ >"$0" && exec "$@"' "$cluster/program.pid" \
		python3 "$source/$program" --bindir "$bindir" --socket-dir "$cluster" --data-dir "$cluster/data" \
		--server-log "$cluster/server.log" --work-dir "$cluster" "$@" &
	wait $! || status=$?
	rm -f "$cluster/program.pid"
	return $status
}

stop_program() {
	local pid_file=${cluster:-}/program.pid pid tries=0
	[ -s "$pid_file" ] || return 0
	pid=$(cat "$pid_file")
	while kill -TERM "$pid" 2>/dev/null && [ $tries -lt 50 ]; do
		sleep 0.1
		tries=$((tries + 1))
	done
	kill -KILL "$pid" 2>/dev/null || true
}

finish() {
	trap '' INT TERM
	stop_program
	remove_workspace
}
