# shellcheck shell=bash disable=SC2016,SC2154
# The server's own regression SQL with the extension preloaded and created in its database: with
# the guard off it gives what the server promises, in warn nothing but warnings besides, under
# enforce no process crashes; and apply() takes its DDL, or refuses it at once.  Its source is fetched at test time (or in $SAFE_MIGRATE_SERVER_SOURCE,
# an unpacked tree of the same major).  Sourced by scripts/test; needs lib-truth.sh.

# Debian's source package of the installed server, into a folder, with lists of apt's own beside it.
fetch_server_source() { # FOLDER
	local folder=$1 options version
	version=$(dpkg-query -W -f '${source:Version}' "postgresql-$major")
	mkdir -p "$folder"/lists/partial "$folder"/cache/archives/partial
	source_archives >"$folder/sources.list"
	options=(-qq -o Dir::Etc::SourceList="$folder/sources.list" -o Dir::Etc::SourceParts=/dev/null
		-o Dir::State::Lists="$folder/lists" -o Dir::Cache="$folder/cache"
		-o Acquire::Check-Valid-Until=false -o Acquire::Languages=none -o APT::Sandbox::User=)
	apt-get "${options[@]}" update >&2 || true
	# Where that very version is gone from the archive, another one of the same major.
	(cd "$folder" && { apt-get "${options[@]}" --download-only source "postgresql-$major=$version" ||
		apt-get "${options[@]}" --download-only source "postgresql-$major=$(older_source "${options[@]}")"; } >&2) &&
		tar -C "$folder" -xf "$folder"/postgresql-"$major"_*.orig.tar.* &&
		find "$folder" -maxdepth 1 -type d -name 'postgresql-*' -print -quit
}

older_source() { # APT-OPTION…: the last version that apt knows of
	apt-cache "$@" showsrc "postgresql-$major" | sed -n 's/^Version: //p' | sort -V | head -n 1
}

# The archives that apt takes the distribution's packages from, as archives of their sources.
source_archives() {
	apt-get indextargets --format '$(ORIGIN) deb-src $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Identifier: Packages' |
		sed -n 's/^Debian //p' | sort -u
}

# What the tests load: the server's regress.so, and two modules of contrib beside it.
build_regress_module() { # SOURCE FOLDER
	as_server mkdir -p "$2" &&
		as_server cc -O1 -w -fPIC -shared -I"$("$pg_config" --includedir-server)" -I/usr/include/postgresql \
			-o "$2/regress.so" "$1/src/test/regress/regress.c" &&
		as_server cp "$("$pg_config" --pkglibdir)"/{autoinc,refint}.so "$2/"
}

# One run with settings of its own; results in $logs/server-regress-WHAT/results.
server_regress_run() { # plain|off|warn|enforce SOURCE
	local what=$1 tree=$2 out=$logs/server-regress-$1 expected=() load=()
	as_server mkdir -p "$out/testtablespace"
	{
		printf '%s\n' "max_worker_processes = 16" "fsync = off" "max_prepared_transactions = 2"
		[ "$what" = plain ] || printf '%s\n' "shared_preload_libraries = 'safe_migrate'" \
			"safe_migrate.guard = $what" "safe_migrate.small_table_size = 0"
	} | as_server tee "$out/extra.conf" >/dev/null
	[ "$what" = plain ] || load=(--load-extension=safe_migrate)
	[ "$major" = 15 ] || expected=("--expecteddir=$tree/src/test/regress")
	as_server bash -c 'cd "$1" && shift && exec "$@"' - "$out" "$pgxs/test/regress/pg_regress" ${expected[@]+"${expected[@]}"} \
		--bindir="$bindir" --inputdir="$tree/src/test/regress" \
		--outputdir="$out" --dlpath="$workspace/regress-modules" --temp-instance="$out/instance" \
		--temp-config="$out/extra.conf" --encoding=UTF8 --no-locale ${load[@]+"${load[@]}"} \
		--max-concurrent-tests=20 --schedule="$tree/src/test/regress/parallel_schedule" >"$out.log" 2>&1 || true
	if grep -hqE 'PANIC:|was terminated by signal|TRAP:' "$out/log/postmaster.log"; then
		say "$(grep -hE -A 1 'PANIC:|was terminated by signal|TRAP:' "$out/log/postmaster.log" | head -n 10)"
		return 1
	fi
	[ "$(find "$out/results" -name '*.out' | wc -l)" -gt 100 ]
}

run_server_regress() { side_by_side server_regress; }

server_regress() {
	local tree=${SAFE_MIGRATE_SERVER_SOURCE:-} start=$SECONDS status what
	if [ -z "$tree" ]; then
		tree=$(fetch_server_source "$workspace/server-source" 2>"$logs/server-source.log") || {
			count 0 1 server-regress $((SECONDS - start))
			say "server-regress: the server's source is not to be had (SAFE_MIGRATE_SERVER_SOURCE names an unpacked tree): $(tail -n 1 "$logs/server-source.log")"
			return
		}
	fi
	chmod -R a+rX "$tree" 2>/dev/null || true
	if ! build_regress_module "$tree" "$workspace/regress-modules" >"$logs/regress-modules.log" 2>&1; then
		count 0 1 'server-regress modules' 0
		show_failure "$logs/regress-modules.log"
		return
	fi
	! wanted apply || truth_run apply-regress apply_regress.py --regress "$tree/src/test/regress"
	[ ${#names[@]} != 1 ] || [ "${names[0]}" != apply ] || return 0
	for what in plain off warn enforce; do
		wanted "$what" || [ "$what" = plain ] || [ "$what" = off ] || continue
		start=$SECONDS
		status=0
		server_regress_run "$what" "$tree" || status=1
		[ "$what" != plain ] || continue
		python3 "$source/test/truth/server_regress.py" "$what" "$logs" "$tree/src/test/regress" \
			>"$logs/server-regress-$what.diff" 2>&1 || status=1
		count $((1 - status)) $status "server-regress $what" $((SECONDS - start))
		tail -n 1 "$logs/server-regress-$what.diff" >&2
		[ $status = 0 ] || head -n "${SAFE_MIGRATE_TAIL:-40}" "$logs/server-regress-$what.diff" >&2
	done
}
