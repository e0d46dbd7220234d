# shellcheck shell=bash disable=SC2154
# Migration tools run under the guard (test/clients).  Sourced by scripts/test.

clients_packages() {
	echo python3-django alembic python3-psycopg2 ruby-railties ruby-activerecord ruby-pg
	command -v node >/dev/null || echo nodejs
	command -v npm >/dev/null || echo npm
}

# The tools from npm at the versions of the lock file, into FOLDER/node_modules: as the one who called, whose
# configuration says which registry.  No package's scripts are run.
clients_npm() { # FOLDER
	local try
	cp "$source/test/clients/npm/package.json" "$source/test/clients/npm/package-lock.json" "$1/" || return 1
	for try in 1 2 3; do
		! timeout 300 npm --prefix "$1" ci --ignore-scripts --no-audit --no-fund \
			>"$1/npm.log" 2>&1 || break
		[ "$try" != 3 ] || return 1
	done
	chmod -R a+rX "$1/node_modules"
}

run_clients() {
	local folder=$workspace/clients start=$SECONDS status=0
	as_server mkdir -p "$folder/work"
	if clients_npm "$folder/work"; then
		:
	elif timeout 60 npm ping >/dev/null 2>&1; then
		status=1
		cat "$folder/work/npm.log" >"$logs/clients.log"
	else
		echo '# npm reaches no registry: node-pg-migrate, TypeORM, Drizzle and Knex are left out' >&2
		[ "${#names[@]}" -gt 0 ] || names=(django rails alembic)
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
