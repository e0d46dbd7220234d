// See queue.hpp.
#include "jobs/queue.hpp"

#include "jobs/at_commit.hpp"
#include "jobs/rights.hpp"
#include "jobs/session_settings.hpp"
#include "jobs/store.hpp"
#include "pg/sql.hpp"

extern "C" {
#include "access/xlog.h"
#include "utils/syscache.h"
}

namespace safe_migrate::jobs {

using pg::Arg;

namespace {

struct Existing {
	JobId id;
	JobState state;
	bool same;
	bool same_settings; // and workers
	const char *kind;
	Oid relation;
	bool at_home;
};

// It has ended and can't be run again: what it was for is gone.  That the table is gone is what a
// drop_table was for: under its name no other table is dropped.
bool is_left_over(const Existing &job)
{
	return is_final(job.state) && OidIsValid(job.relation) &&
		   !SearchSysCacheExists1(RELOID, ObjectIdGetDatum(job.relation)) &&
		   !(job.state == JobState::succeeded && strcmp(job.kind, "drop_table") == 0);
}

void free_name(JobId id, const char *name, const char *detail)
{
	const Arg args[] = {pg::arg_int8(id)};
	pg::execute("UPDATE safe_migrate.job SET name = NULL WHERE id = $1", args);
	add_event(id, "notice", GetUserId(),
			  psprintf("no longer named \"%s\": another job takes the name", name));
	ereport(NOTICE, (errmsg("job " INT64_FORMAT " is no longer named \"%s\"", id, name),
					 errdetail_internal("%s", detail)));
}

// Came along with a copy of its database: it is not run here, and the call is for this one.
void replace_copy(const Existing &job, const char *name)
{
	free_name(job.id, name, _("It was queued in another cluster or database."));
	if (!is_final(job.state))
		(void)move_job(job.id, Action::cancel, GetUserId(), "queued anew in this database");
}

// What its texts name may have been renamed since.
bool is_same_in_other_words(const NewJob &job, const Existing &found)
{
	if (found.same || !job.is_same || found.relation != job.relation ||
		strcmp(found.kind, job.kind) != 0)
		return false;
	const char *step = nullptr;
	const Arg args[] = {pg::arg_int8(found.id)};
	pg::query("SELECT definition FROM safe_migrate.step WHERE job_id = $1 AND step_no = 1", args, 1,
			  [&step](HeapTuple t, TupleDesc d) { step = pg::column_text(t, d, 1); });
	return step && job.is_same(step, job.argument);
}

bool find_by_name(const NewJob &job, Existing *found)
{
	bool any = false;
	*found = {};
	const Arg args[] = {
		pg::arg_oid(GetUserId()),  pg::arg_text(job.name),
		pg::arg_text(job.kind),	   pg::arg_jsonb(job.definition),
		pg::arg_oid(job.relation), pg::arg_jsonb(job.settings ? job.settings : "{}"),
		pg::arg_int4(job.workers)};
	pg::query("SELECT id, state::text, kind = $3 AND definition = $4 AND relation = $5,"
			  " settings = $6 AND workers = $7, kind, relation, system_identifier, database FROM "
			  "safe_migrate.job WHERE owner = "
			  "$1 AND name = $2 FOR NO KEY UPDATE",
			  args, lengthof(args), [&](HeapTuple t, TupleDesc d) {
				  any = true;
				  *found = {pg::column_int8(t, d, 1),
							parse_state(pg::column_text(t, d, 2)),
							pg::column_bool(t, d, 3),
							pg::column_bool(t, d, 4),
							pg::column_text(t, d, 5),
							pg::column_oid(t, d, 6),
							is_at_home(pg::column_int8(t, d, 7), pg::column_oid(t, d, 8))};
			  });
	if (any && !found->at_home && found->state != JobState::succeeded) {
		replace_copy(*found, job.name);
		return false;
	}
	found->same = found->same || (any && is_same_in_other_words(job, *found));
	if (any && !found->same && is_left_over(*found)) {
		free_name(found->id, job.name, _("The table that it was for does not exist any more."));
		return false;
	}
	if (any && !found->same)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("job \"%s\" exists already with another definition", job.name),
				 errdetail("It is job " INT64_FORMAT ", which is %s.", found->id,
						   name_of(found->state)),
				 errhint("Choose another job_name, or look at the job in safe_migrate.jobs.")));
	return any;
}

JobId insert_job(const NewJob &job, JobState state)
{
	const Arg args[] = {pg::arg_text(job.name),
						pg::arg_text(job.kind),
						pg::arg_oid(job.relation),
						pg::arg_text(job.relation_name),
						pg::arg_jsonb(job.definition),
						pg::arg_text(job.definition_text),
						pg::arg_jsonb(job.settings ? job.settings : "{}"),
						pg::arg_oid(GetUserId()),
						pg::arg_oid(GetSessionUserId()),
						pg::arg_text(capture_session_settings()),
						pg::arg_int4(job.workers),
						pg::arg_int8(static_cast<int64>(GetSystemIdentifier())),
						pg::arg_oid(MyDatabaseId),
						pg::arg_text(name_of(state)),
						pg::arg_bool(is_final(state))};
	JobId id = 0;
	pg::query("INSERT INTO safe_migrate.job (name, kind, relation, relation_name, definition,"
			  " definition_text, settings, owner, session_role, session_settings, workers,"
			  " system_identifier, database, state, started_at, finished_at)"
			  " SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13,"
			  " $14::safe_migrate.job_state,"
			  " CASE WHEN $15 THEN pg_catalog.clock_timestamp() END,"
			  " CASE WHEN $15 THEN pg_catalog.clock_timestamp() END"
			  " ON CONFLICT (owner, name) WHERE name IS NOT NULL DO NOTHING RETURNING id",
			  args, lengthof(args),
			  [&id](HeapTuple t, TupleDesc d) { id = pg::column_int8(t, d, 1); });
	return id;
}

void insert_steps(JobId id, const NewJob &job, bool done)
{
	for (int i = 0; i < job.n_steps; i++)
		add_step(id, i + 1, job.steps[i], done);
}

// Settings of the call are not taken over: somebody may have configured the job meanwhile.
int tell(const Existing &found)
{
	if (found.same_settings || found.state == JobState::succeeded)
		return errdetail("Its id is " INT64_FORMAT ".", found.id);
	return errdetail("Its id is " INT64_FORMAT
					 ". It keeps its own settings and workers, which are not those of this call: "
					 "safe_migrate.configure() changes them.",
					 found.id);
}

// What the texts refer to may be other objects by now.
void renew_steps(JobId id, const NewJob &job)
{
	for (int i = 0; i < job.n_steps; i++) {
		const Arg args[] = {pg::arg_int8(id), pg::arg_int4(i + 1), pg::arg_text(job.steps[i].kind),
							pg::arg_jsonb(job.steps[i].definition)};
		pg::execute("UPDATE safe_migrate.step SET definition = $4"
					" WHERE job_id = $1 AND step_no = $2 AND kind = $3",
					args);
	}
}

// What there is of that name already; 0 where nothing is.
JobId take_up_existing(const NewJob &job)
{
	Existing found;
	if (!job.name || !find_by_name(job, &found))
		return 0;
	if (found.state == JobState::failed || found.state == JobState::cancelled) {
		(void)move_job(found.id, Action::retry, GetUserId(), "queued again by a second call");
		if (job.renews_steps)
			renew_steps(found.id, job);
		ereport(NOTICE,
				(errmsg("job \"%s\" was %s and is queued again", job.name, name_of(found.state)),
				 tell(found)));
	} else
		ereport(NOTICE,
				(errmsg("job \"%s\" exists already and is %s", job.name, name_of(found.state)),
				 tell(found)));
	return found.id;
}

} // namespace

JobId queue_job(const NewJob &job, bool *existed)
{
	if (existed)
		*existed = false;
	check_may_queue();
	JobId id = take_up_existing(job);
	if (id == 0 && (id = insert_job(job, JobState::queued)) != 0) {
		insert_steps(id, job, false);
		announce(id, "queued", GetUserId(), job.definition_text);
		wake_at_commit(id);
		return id;
	}
	// somebody else's transaction queued the same name just now
	if (id == 0 && (id = take_up_existing(job)) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("job \"%s\" was queued by another transaction at the same time", job.name),
				 errhint("Run the call again.")));
	if (existed)
		*existed = true;
	return id;
}

JobId record_inline_job(const NewJob &job, int64 rows_written, int64 elapsed_us)
{
	JobId id = insert_job(job, JobState::succeeded);
	if (id == 0) { // a failed or cancelled one of that name, done now
		Existing found;
		if (!find_by_name(job, &found))
			elog(ERROR, "job \"%s\" vanished", job.name);
		const Arg args[] = {pg::arg_int8(found.id)};
		pg::execute("UPDATE safe_migrate.job SET state = 'succeeded', state_reason = NULL,"
					" finished_at = pg_catalog.clock_timestamp(), retry_at = NULL,"
					" error_sqlstate = NULL, error_message = NULL, error_detail = NULL,"
					" error_hint = NULL, error_statement = NULL WHERE id = $1",
					args);
		pg::execute("UPDATE safe_migrate.step SET state = 'done',"
					" finished_at = pg_catalog.clock_timestamp() WHERE job_id = $1",
					args);
		wake_at_commit(found.id);
		id = found.id;
	} else
		insert_steps(id, job, true);

	const Arg args[] = {pg::arg_int8(id), pg::arg_int8(rows_written)};
	pg::execute("UPDATE safe_migrate.step SET rows_written = $2 WHERE job_id = $1 AND step_no = 1",
				args);
	announce(id, "succeeded", GetUserId(),
			 psprintf("done in the caller's transaction: " INT64_FORMAT " rows in %.3f s",
					  rows_written, static_cast<double>(elapsed_us) / 1e6));
	return id;
}

JobId take_up_job(const NewJob &job)
{
	JobId id = take_up_existing(job);
	if (id != 0)
		wake_at_commit(id);
	return id;
}

JobId find_finished_job(const NewJob &job)
{
	Existing found;
	if (!job.name || !find_by_name(job, &found))
		return 0;
	if (found.state == JobState::failed || found.state == JobState::cancelled)
		return 0;
	ereport(NOTICE, (errmsg("job \"%s\" exists already and is %s", job.name, name_of(found.state)),
					 tell(found)));
	return found.id;
}

} // namespace safe_migrate::jobs
