# shellcheck shell=bash disable=SC2154
# Migration tools run under the guard (test/clients).  Sourced by scripts/test.

clients_packages() {
	echo python3-django python3-alembic python3-psycopg2
}

run_clients() {
	local folder=$workspace/clients start=$SECONDS status=0
	if truth_server "$folder" "safe_migrate.guard = enforce" "safe_migrate.small_table_size = '256kB'" "autovacuum = on"; then
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
