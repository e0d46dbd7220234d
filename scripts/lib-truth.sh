# shellcheck shell=bash disable=SC2154
# Statements run for real against what explain() says of them (test/truth), the server's own
# regression SQL with the guard on, and statements that nobody wrote.  Sourced by scripts/test.

# A server of one's own in a folder; further arguments are lines of its configuration.
truth_server() { # FOLDER LINE…
	local folder=$1
	shift
	as_server mkdir -p "$folder"
	as_server "$bindir/initdb" --no-sync -U postgres -A trust -E UTF8 --locale=C.UTF-8 -D "$folder/data" \
		>"$folder/initdb.log" 2>&1 &&
		printf '%s\n' "listen_addresses = ''" "unix_socket_directories = '$folder'" "shared_preload_libraries = 'safe_migrate'" \
			"max_worker_processes = 16" "max_prepared_transactions = 10" "fsync = off" "autovacuum = off" "$@" |
		as_server tee -a "$folder/data/postgresql.conf" >/dev/null &&
		as_server "$bindir/pg_ctl" -D "$folder/data" -l "$folder/server.log" -w -s start
}

truth_server_end() { # FOLDER
	as_server "$bindir/pg_ctl" -D "$1/data" -m fast -w -s stop || true
}

# A program of test/truth beside a server.
truth_run() { # WHAT PROGRAM ARGUMENT…
	local what=$1 program=$2 start=$SECONDS status=0 folder
	folder=$workspace/truth-$what
	shift 2
	if truth_server "$folder"; then
		as_server bash -c 'cd / && exec "$@"' - python3 "$source/test/truth/$program" --socket-dir "$folder" "$@" \
			>"$logs/$what.log" 2>&1 || status=$?
		truth_server_end "$folder"
	else
		status=1
		cat "$folder"/*.log >"$logs/$what.log"
	fi
	if grep -qE 'PANIC:|was terminated by signal|TRAP:' "$folder/server.log" 2>/dev/null; then
		echo "not ok 0 - a process of the server crashed" >>"$logs/$what.log"
		grep -E 'PANIC:|was terminated by signal|TRAP:|DETAIL:  Failed process' "$folder/server.log" >>"$logs/$what.log"
	fi
	count_truth "$what" $status $((SECONDS - start))
}

count_truth() { # WHAT STATUS SECONDS
	local log=$logs/$1.log good bad
	good=$(lines_matching '^ok [0-9]+' "$log")
	bad=$(lines_matching '^not ok [0-9]+' "$log")
	[ "$2" = 0 ] || [ "$bad" -gt 0 ] || bad=1
	count "$good" "$bad" "$1" "$3"
	grep '^# PostgreSQL' "$log" >&2 || true
	[ "$bad" = 0 ] || {
		grep -A 8 '^not ok' "$log" | grep -v '^ok' | head -n 100 >&2
		say "---- end of $log"
		tail -n 3 "$log" >&2
	}
}

run_truth() { side_by_side truth_run truth truth.py ${names[@]+"${names[@]}"}; }

run_fuzz() {
	side_by_side truth_run fuzz fuzz.py ${names[@]+--seed "${names[0]}"}
	side_by_side truth_run apply-fuzz apply_fuzz.py ${names[@]+--seed "${names[0]}"}
}
