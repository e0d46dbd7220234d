// Statements on the job tables: see store.hpp.
#include "jobs/store.hpp"

#include "jobs/at_commit.hpp"
#include "jobs/queue.hpp"
#include "pg/boundary.hpp"
#include "pg/compat.hpp"
#include "pg/guc.hpp"
#include "pg/sql.hpp"

extern "C" {
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
}

namespace safe_migrate::jobs {

using pg::Arg;

namespace {

#define JOB_COLUMNS                                                                                \
	"j.id, j.name, j.kind, j.relation, j.relation_name, j.settings::text, j.session_settings,"     \
	" j.state::text, j.state_reason, j.owner, j.session_role, j.workers,"                          \
	" j.system_identifier, j.database, j.retry_at, j.attempts,"                                    \
	" (SELECT count(*)::int FROM safe_migrate.step s WHERE s.job_id = j.id),"                      \
	" j.error_sqlstate, j.error_message, j.error_detail, j.error_hint, j.error_statement,"         \
	" j.starts"

// As pg_stat_database has them for the database $2.
#define DEADLOCKS "pg_catalog.pg_stat_get_db_deadlocks($2)"

constexpr const char *not_at_home = "queued in another cluster or database";

void read_job(JobRow *row, HeapTuple t, TupleDesc d)
{
	row->id = pg::column_int8(t, d, 1);
	row->name = pg::column_text(t, d, 2);
	row->kind = pg::column_text(t, d, 3);
	row->relation = pg::column_oid(t, d, 4);
	row->relation_name = pg::column_text(t, d, 5);
	row->settings = pg::column_text(t, d, 6);
	row->session_settings = pg::column_text(t, d, 7);
	row->state = parse_state(pg::column_text(t, d, 8));
	row->state_reason = pg::column_text(t, d, 9);
	row->owner = pg::column_oid(t, d, 10);
	row->session_role = pg::column_oid(t, d, 11);
	row->workers = pg::column_int4(t, d, 12);
	row->at_home = is_at_home(pg::column_int8(t, d, 13), pg::column_oid(t, d, 14));
	if (!row->at_home && (row->state == JobState::queued || row->state == JobState::running)) {
		row->state = JobState::paused; // the states of the views say so, too
		row->state_reason = pstrdup(not_at_home);
	}
	row->retry_at = pg::column_int8(t, d, 15); // timestamptz is an int64 of microseconds
	row->attempts = pg::column_int4(t, d, 16);
	row->step_count = pg::column_int4(t, d, 17);
	row->error_sqlstate = pg::column_text(t, d, 18);
	row->error_message = pg::column_text(t, d, 19);
	row->error_detail = pg::column_text(t, d, 20);
	row->error_hint = pg::column_text(t, d, 21);
	row->error_statement = pg::column_text(t, d, 22);
	row->starts = pg::column_int4(t, d, 23);
}

JobRow *only_job(const char *statement, const Arg *args, int nargs)
{
	JobRow *row = nullptr;
	pg::query(statement, args, nargs, [&row](HeapTuple t, TupleDesc d) {
		row = static_cast<JobRow *>(palloc0(sizeof(JobRow)));
		read_job(row, t, d);
	});
	return row;
}

} // namespace

int hint_elsewhere()
{
	return errhint("Call the function that queued it again, where it is wanted here as well, or "
				   "cancel it.");
}

bool is_at_home(int64 system_identifier, Oid database)
{
	return system_identifier == static_cast<int64>(GetSystemIdentifier()) &&
		   database == MyDatabaseId;
}

JobState parse_state(const char *text)
{
	for (int i = 0; i < static_cast<int>(lengthof(job_state_names)); i++)
		if (strcmp(text, job_state_names[i]) == 0)
			return static_cast<JobState>(i);
	elog(ERROR, "unknown job state \"%s\"", text);
}

JobRow *load_job(JobId id, bool lock)
{
	const Arg args[] = {pg::arg_int8(id)};
	return lock ? only_job("SELECT " JOB_COLUMNS
						   " FROM safe_migrate.job j WHERE j.id = $1 FOR NO KEY UPDATE",
						   args, 1)
				: only_job("SELECT " JOB_COLUMNS " FROM safe_migrate.job j WHERE j.id = $1", args,
						   1);
}

bool is_job_free(JobId id)
{
	const Arg args[] = {pg::arg_int8(id)};
	return pg::execute("SELECT FROM safe_migrate.job WHERE id = $1 FOR NO KEY UPDATE SKIP LOCKED",
					   args) > 0;
}

JobList load_active_jobs()
{
	JobList list = {0, nullptr};
	int room = 0;
	pg::query("SELECT " JOB_COLUMNS " FROM safe_migrate.job j"
			  " WHERE j.state IN ('queued', 'running') ORDER BY j.id",
			  nullptr, 0, [&](HeapTuple t, TupleDesc d) {
				  if (list.n == room) {
					  room = Max(16, room * 2);
					  list.rows = static_cast<JobRow *>(
						  list.rows ? repalloc(list.rows, room * sizeof(JobRow))
									: palloc(room * sizeof(JobRow)));
				  }
				  list.rows[list.n] = JobRow{};
				  read_job(&list.rows[list.n++], t, d);
			  });
	return list;
}

int64 rows_written(JobId id)
{
	int64 rows = 0;
	const Arg args[] = {pg::arg_int8(id)};
	pg::query("SELECT (coalesce((SELECT sum(s.rows_written) FROM safe_migrate.step s"
			  "   WHERE s.job_id = $1), 0) + coalesce((SELECT sum(l.rows_written)"
			  "   FROM safe_migrate.slice l WHERE l.job_id = $1), 0))::bigint",
			  args, lengthof(args),
			  [&rows](HeapTuple t, TupleDesc d) { rows = pg::column_int8(t, d, 1); });
	return rows;
}

void add_event(JobId id, const char *kind, Oid role, const char *detail)
{
	const Arg args[] = {pg::arg_int8(id), pg::arg_text(kind),
						OidIsValid(role) ? pg::arg_oid(role) : pg::arg_null(OIDOID),
						pg::arg_text(detail)};
	pg::execute("INSERT INTO safe_migrate.event (job_id, kind, role, detail)"
				" SELECT $1, $2, $3, $4 WHERE EXISTS (SELECT FROM safe_migrate.job WHERE id = $1)",
				args);
}

bool was_overridden(JobId id)
{
	const Arg args[] = {pg::arg_int8(id)};
	return pg::execute("SELECT FROM safe_migrate.event WHERE job_id = $1 AND kind = 'override'",
					   args) > 0;
}

void announce(JobId id, const char *kind, Oid role, const char *detail)
{
	add_event(id, kind, role, detail);
	char payload[64];
	snprintf(payload, sizeof payload, INT64_FORMAT " %s", id, kind);
	const Arg args[] = {pg::arg_text(payload)};
	pg::execute("SELECT pg_catalog.pg_notify('safe_migrate', $1)", args);
}

void note_what_is_left(JobId id)
{
	const Arg args[] = {pg::arg_int8(id)};
	pg::execute("INSERT INTO safe_migrate.event (job_id, kind, detail) SELECT $1, 'left', detail"
				" FROM (SELECT pg_catalog.format('%s of %s steps are done and stay: undo in "
				"safe_migrate.job_steps has the SQL that takes them back, retry() goes on', d, n)"
				" FROM (SELECT count(*) FILTER (WHERE state = 'done') AS d, count(*) AS n FROM"
				" safe_migrate.step WHERE job_id = $1 AND kind NOT IN"
				" ('backfill', 'delete', 'vacuum')) s WHERE d > 0) l (detail)"
				" WHERE NOT EXISTS (SELECT FROM safe_migrate.event e WHERE e.job_id = $1 AND"
				" e.kind = 'left' AND e.detail = l.detail AND e.id > (SELECT max(o.id) FROM"
				" safe_migrate.event o WHERE o.job_id = $1 AND o.kind IN ('failed', 'cancelled')))",
				args);
}

Transition move_job(JobId id, Action action, Oid role, const char *reason)
{
	JobRow *job = load_job(id, true);
	if (!job)
		return {Effect::impossible, JobState::failed};
	Transition t = transition(job->state, action);
	if (t.effect != Effect::moves || t.to == job->state)
		return t;

	const Arg args[] = {pg::arg_int8(id), pg::arg_text(name_of(t.to)), pg::arg_text(reason),
						pg::arg_bool(is_final(t.to)), pg::arg_bool(t.to == JobState::queued)};
	pg::execute("UPDATE safe_migrate.job SET state = $2::safe_migrate.job_state, state_reason = $3,"
				" started_at = CASE WHEN $2 = 'running' THEN coalesce(started_at,"
				"   pg_catalog.clock_timestamp()) ELSE started_at END,"
				" finished_at = CASE WHEN $4 THEN pg_catalog.clock_timestamp() END,"
				" retry_at = NULL, attempts = CASE WHEN $5 THEN 0 ELSE attempts END,"
				" starts = CASE WHEN $2 = 'running' THEN starts ELSE 0 END,"
				" error_sqlstate = CASE WHEN $5 THEN NULL ELSE error_sqlstate END,"
				" error_message = CASE WHEN $5 THEN NULL ELSE error_message END,"
				" error_detail = CASE WHEN $5 THEN NULL ELSE error_detail END,"
				" error_hint = CASE WHEN $5 THEN NULL ELSE error_hint END,"
				" error_statement = CASE WHEN $5 THEN NULL ELSE error_statement END"
				" WHERE id = $1",
				args);
	if (action == Action::retry) {
		const Arg step_args[] = {pg::arg_int8(id)};
		pg::execute("UPDATE safe_migrate.step SET state = 'pending'"
					" WHERE job_id = $1 AND state IN ('failed', 'running')",
					step_args);
	}
	announce(id, name_of(t.to), role, reason);
	if (t.to == JobState::failed || t.to == JobState::cancelled)
		note_what_is_left(id);
	wake_at_commit(id);
	return t;
}

bool is_queued_by_this_transaction(JobId id)
{
	bool ours = false;
	const Arg args[] = {pg::arg_int8(id)};
	pg::query("SELECT xmin FROM safe_migrate.event WHERE job_id = $1 AND kind = 'queued'"
			  " ORDER BY id DESC LIMIT 1",
			  args, 1, [&](HeapTuple t, TupleDesc d) {
				  ours = TransactionIdIsCurrentTransactionId(pg::column_oid(t, d, 1));
			  });
	return ours;
}

void fail_job(JobId id, const ErrorData *error, const char *statement)
{
	Transition t = move_job(id, Action::fail, InvalidOid, error->message);
	if (t.effect != Effect::moves)
		return;
	const Arg args[] = {pg::arg_int8(id),
						pg::arg_text(unpack_sql_state(error->sqlerrcode)),
						pg::arg_text(error->message),
						pg::arg_text(error->detail),
						pg::arg_text(error->hint),
						pg::arg_text(statement ? statement : error->internalquery)};
	pg::execute("UPDATE safe_migrate.job SET error_sqlstate = $2, error_message = $3,"
				" error_detail = $4, error_hint = CASE WHEN $5 LIKE '%retry()%' THEN $5 ELSE"
				"   nullif(pg_catalog.concat_ws(E'\\n', $5, (SELECT e.detail || '.' FROM"
				"     safe_migrate.event e WHERE e.job_id = $1 AND e.kind = 'left' AND e.id >"
				"     (SELECT max(o.id) FROM safe_migrate.event o WHERE o.job_id = $1 AND"
				"       o.kind = 'failed'))), '') END,"
				" error_statement = coalesce($6, definition_text) WHERE id = $1",
				args);
	const Arg step_args[] = {pg::arg_int8(id), pg::arg_oid(MyDatabaseId)};
	pg::execute("UPDATE safe_migrate.step SET state = 'failed',"
				" deadlocks_after = " DEADLOCKS " WHERE job_id = $1 AND state = 'running'",
				step_args);
}

void note_retry(JobId id, const ErrorData *error, int attempt, int64 wait_us)
{
	const Arg args[] = {pg::arg_int8(id), pg::arg_int4(attempt), pg::arg_interval_us(wait_us)};
	pg::execute("UPDATE safe_migrate.job SET attempts = $2, retries = retries + 1,"
				" retry_at = pg_catalog.clock_timestamp() + $3 WHERE id = $1",
				args);
	char *detail = psprintf("%s: %s (try %d, next in %.1f s)", unpack_sql_state(error->sqlerrcode),
							error->message, attempt, static_cast<double>(wait_us) / 1e6);
	add_event(id, "retry", InvalidOid, detail);
}

void clear_retry(JobId id)
{
	const Arg args[] = {pg::arg_int8(id)};
	pg::execute("UPDATE safe_migrate.job SET attempts = 0, retry_at = NULL WHERE id = $1", args);
}

void add_vacuum_step(JobId id)
{
	const Arg args[] = {pg::arg_int8(id)};
	pg::execute("INSERT INTO safe_migrate.step (job_id, step_no, kind, definition, description)"
				" SELECT j.id, max(s.step_no) + 1, 'vacuum',"
				"   pg_catalog.jsonb_build_object('relation', j.relation::bigint),"
				"   'VACUUM (ANALYZE) ' || j.relation_name"
				" FROM safe_migrate.job j JOIN safe_migrate.step s ON s.job_id = j.id"
				" WHERE j.id = $1 AND j.kind IN ('backfill', 'delete') GROUP BY j.id"
				" HAVING bool_and(s.kind <> 'vacuum')",
				args);
}

void note_start(JobId id)
{
	// a crash must not take the note along
	pg::set_local("synchronous_commit", "local");
	const Arg args[] = {pg::arg_int8(id)};
	pg::execute("UPDATE safe_migrate.job SET starts = starts + 1 WHERE id = $1", args);
}

void forget_starts(JobId id)
{
	const Arg args[] = {pg::arg_int8(id)};
	pg::execute("UPDATE safe_migrate.job SET starts = 0 WHERE id = $1 AND starts > 0", args);
}

StepRow *load_current_step(JobId id)
{
	StepRow *step = nullptr;
	const Arg args[] = {pg::arg_int8(id)};
	pg::query("SELECT step_no, kind, definition::text, pass FROM safe_migrate.step"
			  " WHERE job_id = $1 AND state <> 'done' ORDER BY step_no LIMIT 1",
			  args, 1, [&step](HeapTuple t, TupleDesc d) {
				  step = static_cast<StepRow *>(palloc0(sizeof(StepRow)));
				  step->step_no = pg::column_int4(t, d, 1);
				  step->kind = pg::column_text(t, d, 2);
				  step->definition = pg::column_text(t, d, 3);
				  step->pass = pg::column_int4(t, d, 4);
			  });
	return step;
}

void start_step(JobId id, int step_no)
{
	// a crash sets the server's count back to 0
	const Arg args[] = {pg::arg_int8(id), pg::arg_oid(MyDatabaseId), pg::arg_int4(step_no)};
	pg::execute("UPDATE safe_migrate.step SET state = 'running',"
				" started_at = coalesce(started_at, pg_catalog.clock_timestamp()),"
				" deadlocks_before = least(deadlocks_before, " DEADLOCKS "),"
				" deadlocks_after = NULL"
				" WHERE job_id = $1 AND step_no = $3 AND state <> 'done'",
				args);
}

void finish_step(JobId id, int step_no)
{
	const Arg args[] = {pg::arg_int8(id), pg::arg_oid(MyDatabaseId), pg::arg_int4(step_no)};
	pg::execute("UPDATE safe_migrate.step SET state = 'done', deadlocks_after = " DEADLOCKS ","
				" finished_at = pg_catalog.clock_timestamp() WHERE job_id = $1 AND step_no = $3",
				args);
}

void set_undo(JobId id, int step_no, const char *undo)
{
	const Arg args[] = {pg::arg_int8(id), pg::arg_int4(step_no), pg::arg_text(undo)};
	pg::execute("UPDATE safe_migrate.step SET definition = definition - 'undo' ||"
				" pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('undo', $3))"
				" WHERE job_id = $1 AND step_no = $2",
				args);
}

List *load_steps_with_undo(JobId id, int before_step)
{
	List *steps = NIL;
	const Arg args[] = {pg::arg_int8(id), pg::arg_int4(before_step)};
	pg::query("SELECT step_no, kind, definition::text, pass FROM safe_migrate.step"
			  " WHERE job_id = $1 AND step_no < $2 AND definition ? 'undo' ORDER BY step_no DESC",
			  args, 2, [&steps](HeapTuple t, TupleDesc d) {
				  auto *step = static_cast<StepRow *>(palloc0(sizeof(StepRow)));
				  step->step_no = pg::column_int4(t, d, 1);
				  step->kind = pg::column_text(t, d, 2);
				  step->definition = pg::column_text(t, d, 3);
				  step->pass = pg::column_int4(t, d, 4);
				  steps = lappend(steps, step);
			  });
	return steps;
}

void mark_begun(JobId id, int step_no, bool begun)
{
	const Arg args[] = {pg::arg_int8(id), pg::arg_int4(step_no), pg::arg_bool(begun)};
	pg::execute("UPDATE safe_migrate.step SET definition = definition ||"
				" pg_catalog.jsonb_build_object('begun', $3) WHERE job_id = $1 AND step_no = $2",
				args);
}

void reopen_steps(JobId id, int from_step_no)
{
	const Arg args[] = {pg::arg_int8(id), pg::arg_int4(from_step_no)};
	pg::execute("UPDATE safe_migrate.step SET state = 'pending', finished_at = NULL"
				" WHERE job_id = $1 AND step_no >= $2",
				args);
}

void add_step(JobId id, int step_no, const NewStep &step, bool done)
{
	const Arg args[] = {pg::arg_int8(id),
						pg::arg_int4(step_no),
						pg::arg_text(step.kind),
						pg::arg_jsonb(step.definition ? step.definition : "{}"),
						pg::arg_text(step.description),
						pg::arg_bool(done)};
	pg::execute("INSERT INTO safe_migrate.step (job_id, step_no, kind, definition, description,"
				" state, started_at, finished_at)"
				" SELECT $1, $2, $3, $4, $5,"
				" CASE WHEN $6 THEN 'done' ELSE 'pending' END::safe_migrate.step_state,"
				" CASE WHEN $6 THEN pg_catalog.clock_timestamp() END,"
				" CASE WHEN $6 THEN pg_catalog.clock_timestamp() END",
				args);
}

void replace_step(JobId id, int step_no, const NewStep *steps, int n)
{
	const Arg old[] = {pg::arg_int8(id), pg::arg_int4(step_no)};
	pg::execute("DELETE FROM safe_migrate.step WHERE job_id = $1 AND step_no = $2", old);
	const Arg args[] = {pg::arg_int8(id), pg::arg_int4(step_no), pg::arg_int4(n - 1)};
	// by way of negative numbers, which collide with none
	pg::execute("UPDATE safe_migrate.step SET step_no = -(step_no + $3)"
				" WHERE job_id = $1 AND step_no > $2",
				args);
	const Arg job[] = {pg::arg_int8(id)};
	pg::execute("UPDATE safe_migrate.step SET step_no = -step_no WHERE job_id = $1 AND step_no < 0",
				job);
	for (int i = 0; i < n; i++)
		add_step(id, step_no + i, steps[i], false);
}

} // namespace safe_migrate::jobs

SAFE_MIGRATE_FUNCTION(safe_migrate_is_at_home)
{
	PG_RETURN_BOOL(safe_migrate::jobs::is_at_home(PG_GETARG_INT64(0), PG_GETARG_OID(1)));
}
