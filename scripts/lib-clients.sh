# shellcheck shell=bash disable=SC2154
# Migration tools run under the guard (test/clients).  Sourced by scripts/test.

clients_packages() {
	echo python3-django alembic python3-psycopg2 ruby-railties ruby-activerecord ruby-pg
	command -v node >/dev/null || echo nodejs
	command -v npm >/dev/null || echo npm
}

# The tools from npm at the versions of the lock file, into FOLDER/node_modules: as the one who called, whose
# configuration says which registry.  No package's scripts are run.  Where npm fails for good the test fails:
# SAFE_MIGRATE_WITHOUT_NPM=1 leaves its tools out, and says so.
clients_npm() { # FOLDER
	local try
	cp "$source/test/clients/npm/package.json" "$source/test/clients/npm/package-lock.json" "$1/" || return 1
	for try in 1 2 3 4; do
		! timeout 300 npm --prefix "$1" ci --ignore-scripts --no-audit --no-fund \
			>"$1/npm.log" 2>&1 || break
		[ "$try" != 4 ] || return 1
		sleep $((try * 5))
	done
	chmod -R a+rX "$1/node_modules"
}

run_clients() { side_by_side clients; }

clients() {
	local folder=$workspace/clients start=$SECONDS status=0
	as_server mkdir -p "$folder/work"
	if [ -n "${SAFE_MIGRATE_WITHOUT_NPM:-}" ]; then
		say '# SAFE_MIGRATE_WITHOUT_NPM is set: node-pg-migrate, TypeORM, Drizzle and Knex are left out'
		[ "${#names[@]}" -gt 0 ] || names=(django rails alembic)
	elif ! clients_npm "$folder/work"; then
		status=1
		{
			cat "$folder/work/npm.log"
			echo '# npm could not install its tools; SAFE_MIGRATE_WITHOUT_NPM=1 leaves them out'
		} >"$logs/clients.log"
	fi
	if [ "$status" != 0 ]; then
		:
	elif truth_server "$folder" "safe_migrate.guard = enforce" "safe_migrate.small_table_size = '256kB'" "autovacuum = on"; then
		as_server /usr/bin/python3 -B "$source/test/clients/run.py" --socket-dir "$folder" --bindir "$bindir" \
			--work "$folder/work" --docs "$source/docs/clients.md" ${names[@]+"${names[@]}"} >"$logs/clients.log" 2>&1 || status=$?
		truth_server_end "$folder"
	else
		status=1
		cat "$folder"/*.log >"$logs/clients.log"
	fi
	count_truth clients $status $((SECONDS - start))
	grep '^# .*: [0-9]* s$' "$logs/clients.log" >&2 || true
}
