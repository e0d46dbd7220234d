// pause, resume, cancel, retry, configure, require, reassign: what people do to jobs.  All
// write the job's row in the caller's transaction; workers and scheduler look when it commits.
#include "jobs/at_commit.hpp"
#include "jobs/find_job.hpp"
#include "jobs/rights.hpp"
#include "jobs/shared.hpp"
#include "jobs/state.hpp"
#include "jobs/store.hpp"
#include "pg/arguments.hpp"
#include "pg/boundary.hpp"
#include "pg/compat_analysis.hpp"
#include "pg/guc.hpp"
#include "pg/holder.hpp"
#include "pg/sqlstates.hpp"
#include "pg/sql.hpp"
#include "pg/transaction.hpp"
#include "settings.hpp"

extern "C" {
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
}

namespace safe_migrate::jobs {

namespace {

// What a person is told where an action changes nothing.
void say_repeated(const JobRow &job, Action action)
{
	ereport(NOTICE, (errmsg("job " INT64_FORMAT " is %s already", job.id, name_of(job.state)),
					 action == Action::resume || action == Action::retry
						 ? errdetail("There is nothing to %s.", name_of(action))
						 : 0));
}

void say_impossible(const JobRow &job, Action action)
{
	const char *hint = job.state == JobState::paused
						   ? "A paused job goes on by safe_migrate.resume()."
					   : job.state == JobState::failed || job.state == JobState::cancelled
						   ? "A failed or cancelled job goes on by safe_migrate.retry()."
						   : "A job that has succeeded can't be changed any more.";
	ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("can't %s job " INT64_FORMAT ", which is %s", name_of(action), job.id,
						   name_of(job.state)),
					errhint("%s", hint)));
}

void warn_of_gone_owner(const JobRow &job)
{
	ereport(WARNING,
			(errmsg("the role that owns job " INT64_FORMAT " does not exist any more", job.id),
			 errdetail("It will be paused again."),
			 errhint("Give it to another role by safe_migrate.reassign(" INT64_FORMAT
					 ", 'role') while it is paused.",
					 job.id)));
}

void refuse_elsewhere(const JobRow &job)
{
	if (!job.at_home && job.state != JobState::succeeded)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job " INT64_FORMAT " was queued in another cluster or database", job.id),
				 hint_elsewhere()));
}

void act(JobId id, Action action, const char *reason)
{
	require_preload();
	PreventCommandIfReadOnly(psprintf("%s()", name_of(action)));
	JobRow *job = job_or_error(id);
	if (action == Action::retry)
		check_may_act_for_owner(job);
	else
		check_may_control(job);
	if (action == Action::resume || action == Action::retry)
		refuse_elsewhere(*job);
	Transition t = move_job(id, action, GetUserId(), reason);
	if (t.effect == Effect::repeats)
		say_repeated(*job, action);
	else if (t.effect == Effect::impossible)
		say_impossible(*job, action);
	else if ((action == Action::resume || action == Action::retry) && owner_is_gone(*job))
		warn_of_gone_owner(*job);
}

JobId id_argument(FunctionCallInfo fcinfo)
{
	pg::refuse_null(fcinfo, 0, "job");
	return PG_GETARG_INT64(0);
}

char *text_argument(FunctionCallInfo fcinfo, int n, const char *argument)
{
	pg::refuse_null(fcinfo, n, argument);
	return text_to_cstring(PG_GETARG_TEXT_PP(n));
}

// The SQL functions come as pairs: (bigint) and (text), each with a reason where that is of use.
Datum act_by_id(FunctionCallInfo fcinfo, Action action)
{
	JobId id = id_argument(fcinfo);
	const char *reason =
		PG_NARGS() > 1 && !PG_ARGISNULL(1) ? text_to_cstring(PG_GETARG_TEXT_PP(1)) : nullptr;
	act(id, action, reason);
	PG_RETURN_VOID();
}

template <Action action> Datum act_by_name(FunctionCallInfo fcinfo)
{
	const char *name = text_argument(fcinfo, 0, "job_name");
	const char *reason =
		PG_NARGS() > 1 && !PG_ARGISNULL(1) ? text_to_cstring(PG_GETARG_TEXT_PP(1)) : nullptr;
	auto changes = [](JobState state) { return transition(state, action).effect == Effect::moves; };
	act(job_by_name(name, Named::visible, changes), action, reason);
	PG_RETURN_VOID();
}

void configure(JobId id, const char *setting, const char *value)
{
	require_preload();
	PreventCommandIfReadOnly("configure()");
	JobRow *job = job_or_error(id);
	if (strcmp(setting, "throttle_query") == 0)
		check_may_act_for_owner(job);
	else
		check_may_control(job);
	job = load_job(id, true);
	if (!job || is_final(job->state))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job " INT64_FORMAT " is %s and can't be configured", id,
						job ? name_of(job->state) : "gone"),
				 job && job->state != JobState::succeeded
					 ? errhint("Queue it again with safe_migrate.retry(), and configure it in "
							   "the same transaction.")
					 : 0));
	if (strcmp(setting, "workers") == 0) {
		int workers = value && value[0] != '\0' ? pg_strtoint32(value) : 1;
		if (workers < 1 || workers > max_workers_per_job)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("workers must be between 1 and %d", max_workers_per_job)));
		const pg::Arg args[] = {pg::arg_int8(id), pg::arg_int4(workers)};
		pg::execute("UPDATE safe_migrate.job SET workers = $2 WHERE id = $1", args);
	} else {
		char *settings = configure_job_settings(job->settings, setting, value, GetUserId());
		const pg::Arg args[] = {pg::arg_int8(id), pg::arg_jsonb(settings)};
		pg::execute("UPDATE safe_migrate.job SET settings = $2 WHERE id = $1", args);
		if (effective_settings(settings).vacuum_after &&
			SearchSysCacheExists1(RELOID, ObjectIdGetDatum(job->relation)) &&
			pg::may_maintain(job->relation, job->owner))
			add_vacuum_step(id);
	}
	add_event(id, "configured", GetUserId(),
			  psprintf("%s = %s", setting, value && value[0] != '\0' ? value : "the server's"));
	wake_at_commit(id);
}

Datum configure_call(FunctionCallInfo fcinfo, JobId id)
{
	configure(id, text_argument(fcinfo, 1, "setting"),
			  PG_ARGISNULL(2) ? nullptr : text_to_cstring(PG_GETARG_TEXT_PP(2)));
	PG_RETURN_VOID();
}

// The hint for a job that has not succeeded.
int what_to_do(const JobRow &job)
{
	switch (job.state) {
		case JobState::paused:
			if (!job.at_home)
				return hint_elsewhere();
			if (owner_is_gone(job))
				return errhint("Its owner does not exist any more. It goes on by SELECT "
							   "safe_migrate.reassign(" INT64_FORMAT
							   ", 'role'), safe_migrate.resume(" INT64_FORMAT ").",
							   job.id, job.id);
			return errhint("It goes on by SELECT safe_migrate.resume(" INT64_FORMAT ").", job.id);
		case JobState::failed:
		case JobState::cancelled:
			if (!job.at_home)
				return hint_elsewhere();
			return errhint("It goes on where it stood by SELECT safe_migrate.retry(" INT64_FORMAT
						   ").",
						   job.id);
		default:
			return errhint("Wait for it with CALL safe_migrate.wait(" INT64_FORMAT
						   "), or look at safe_migrate.progress.",
						   job.id);
	}
}

void require(const char *name)
{
	JobId id = job_by_name(name, Named::trusted);
	JobRow *job = job_or_error(id);
	if (job->state == JobState::succeeded)
		return;
	if (job->state == JobState::queued && is_queued_by_this_transaction(id))
		ereport(ERROR,
				(errcode(pg::errcode_not_succeeded),
				 errmsg("job \"%s\" has not succeeded: it is %s", name, name_of(job->state)),
				 errdetail("This transaction has queued it; it starts when that has committed."),
				 errhint("Let the migration tool commit each migration by itself; with one "
						 "transaction around all of them the job would never start.")));
	LiveJob live = {};
	if (shared) {
		Home home = {MyDatabaseId, pg::extension_oid()};
		Guard guard(LW_SHARED);
		if (LiveJob *found = find_live_job(home, id, false))
			live = *found;
	}
	ereport(ERROR, (errcode(pg::errcode_not_succeeded),
					errmsg("job \"%s\" has not succeeded: it is %s", name, name_of(job->state)),
					job->state == JobState::failed && job->error_message
						? errdetail("Job " INT64_FORMAT ": %s", id, job->error_message)
						: errdetail("%s", describe_progress(id, live)),
					what_to_do(*job)));
}

// A second session may hold the row in an open transaction: how long all jobs together wait for
// such ones, and each of them.
constexpr int64 patience_for_all_us = 3'000'000;
constexpr int patience_ms = 500;

// Locks the job's row, waiting no longer than that.  False: `holder` has it.
bool lock_job_soon(JobId id, bool patiently, pg::Holder *holder)
{
	if (is_job_free(id))
		return true;
	ErrorData *error = pg::run_subtransaction([&] {
		int nest = NewGUCNestLevel();
		pg::set_in_level_ms("lock_timeout", patiently ? patience_ms : 20);
		pg::watch_lock_waits(10);
		(void)load_job(id, true);
		pg::stop_watching();
		AtEOXact_GUC(true, nest);
	});
	if (!error)
		return true;
	pg::stop_watching();
	if (error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
		ReThrowError(error);
	FreeErrorData(error);
	LOCKTAG tag;
	LOCKMODE mode;
	if (pg::awaited_lock(&tag, &mode))
		*holder = pg::holder_of_lock(tag, mode);
	return false;
}

void warn_of_held_row(JobId id, bool pause, const pg::Holder &holder)
{
	const char *what = pause ? "pause" : "resume";
	ereport(WARNING,
			(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
			 errmsg("could not %s job " INT64_FORMAT ": its row is locked", what, id),
			 errdetail("%s holds it in a transaction that has not ended.",
					   holder.name[0] != '\0'
						   ? psprintf("%c%s", pg_toupper(holder.name[0]), holder.name + 1)
						   : "Another session"),
			 errhint("End that transaction, and run SELECT safe_migrate.%s(" INT64_FORMAT ").",
					 what, id)));
}

struct Found {
	JobId id;
	Oid owner;
};
constexpr int room_for_jobs = 1024;

// The next jobs by id that there is something to do for: how many.
int find_all(bool pause, JobId after, Found *found)
{
	int n = 0;
	// rows come while the extension's owner is the current user: rights are looked at afterwards
	auto collect = [&](HeapTuple t, TupleDesc d) {
		found[n++] = {pg::column_int8(t, d, 1), pg::column_oid(t, d, 2)};
	};
	const pg::Arg args[] = {pg::arg_int8(after), pg::arg_int4(room_for_jobs)};
	if (pause)
		pg::query("SELECT id, owner FROM safe_migrate.job WHERE id > $1"
				  " AND state IN ('queued', 'running') ORDER BY id LIMIT $2",
				  args, lengthof(args), collect);
	else
		pg::query("SELECT id, owner FROM safe_migrate.job WHERE id > $1 AND state = 'paused'"
				  " AND state_reason LIKE 'all jobs paused%' ORDER BY id LIMIT $2",
				  args, lengthof(args), collect);
	return n;
}

void check_may_control_all(bool pause)
{
	if (superuser() || has_privs_of_role(GetUserId(), ROLE_PG_SIGNAL_BACKEND))
		return;
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					errmsg("permission denied to %s all jobs", pause ? "pause" : "resume"),
					errhint("Only superusers and members of pg_signal_backend may.")));
}

void pause_or_resume_all(bool pause, const char *reason)
{
	require_preload();
	PreventCommandIfReadOnly(pause ? "pause_all()" : "resume_all()");
	check_may_control_all(pause);
	auto *found = static_cast<Found *>(palloc(room_for_jobs * sizeof(Found)));
	char *why = pause ? psprintf("all jobs paused: %s", reason) : nullptr;
	int64 waited_us = 0;
	JobId last = 0;
	int n;
	do { // in parts, where there are many
		n = find_all(pause, last, found);
		for (int i = 0; i < n; i++) {
			last = found[i].id;
			if (!may_control(found[i].owner))
				continue;
			pg::Holder holder = {};
			TimestampTz began = GetCurrentTimestamp();
			if (lock_job_soon(last, waited_us < patience_for_all_us, &holder))
				(void)move_job(last, pause ? Action::pause : Action::resume, GetUserId(), why);
			else
				warn_of_held_row(last, pause, holder);
			waited_us += GetCurrentTimestamp() - began;
		}
	} while (n == room_for_jobs);
}

} // namespace
} // namespace safe_migrate::jobs

using namespace safe_migrate::jobs;

SAFE_MIGRATE_FUNCTION(safe_migrate_pause) { return act_by_id(fcinfo, Action::pause); }
SAFE_MIGRATE_FUNCTION(safe_migrate_pause_name) { return act_by_name<Action::pause>(fcinfo); }
SAFE_MIGRATE_FUNCTION(safe_migrate_resume) { return act_by_id(fcinfo, Action::resume); }
SAFE_MIGRATE_FUNCTION(safe_migrate_resume_name) { return act_by_name<Action::resume>(fcinfo); }
SAFE_MIGRATE_FUNCTION(safe_migrate_cancel) { return act_by_id(fcinfo, Action::cancel); }
SAFE_MIGRATE_FUNCTION(safe_migrate_cancel_name) { return act_by_name<Action::cancel>(fcinfo); }
SAFE_MIGRATE_FUNCTION(safe_migrate_retry) { return act_by_id(fcinfo, Action::retry); }
SAFE_MIGRATE_FUNCTION(safe_migrate_retry_name) { return act_by_name<Action::retry>(fcinfo); }

SAFE_MIGRATE_FUNCTION(safe_migrate_configure)
{
	return configure_call(fcinfo, id_argument(fcinfo));
}
SAFE_MIGRATE_FUNCTION(safe_migrate_configure_name)
{
	return configure_call(
		fcinfo, job_by_name(text_argument(fcinfo, 0, "job_name"), Named::visible, is_under_way));
}

SAFE_MIGRATE_FUNCTION(safe_migrate_require)
{
	require(text_argument(fcinfo, 0, "job_name"));
	PG_RETURN_VOID();
}

SAFE_MIGRATE_FUNCTION(safe_migrate_pause_all)
{
	pause_or_resume_all(true, text_argument(fcinfo, 0, "reason"));
	PG_RETURN_VOID();
}

SAFE_MIGRATE_FUNCTION(safe_migrate_resume_all)
{
	pause_or_resume_all(false, nullptr);
	PG_RETURN_VOID();
}

// reassign(job bigint, new_owner regrole): superusers only; a job that was paused since its owner
// is gone stays paused until it is resumed.
SAFE_MIGRATE_FUNCTION(safe_migrate_reassign)
{
	namespace pg = safe_migrate::pg;
	require_preload();
	PreventCommandIfReadOnly("reassign()");
	JobId id = id_argument(fcinfo);
	safe_migrate::pg::refuse_null(fcinfo, 1, "new_owner");
	Oid role = PG_GETARG_OID(1);
	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to reassign a job"), errhint("Only superusers may.")));
	(void)GetUserNameFromId(role, false);
	JobRow *job = job_or_error(id);
	if (job->state == JobState::running)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("can't reassign job " INT64_FORMAT " while it runs", id),
						errhint("Pause it first.")));
	const pg::Arg name_args[] = {pg::arg_text(job->name), pg::arg_oid(role), pg::arg_int8(id)};
	if (pg::execute("SELECT FROM safe_migrate.job WHERE name = $1 AND owner = $2 AND id <> $3",
					name_args) > 0)
		ereport(ERROR, (errcode(ERRCODE_DUPLICATE_OBJECT),
						errmsg("role \"%s\" has a job named \"%s\" already",
							   GetUserNameFromId(role, false), job->name)));
	const pg::Arg args[] = {pg::arg_int8(id), pg::arg_oid(role)};
	pg::execute("UPDATE safe_migrate.job SET owner = $2, session_role = $2 WHERE id = $1", args);
	add_event(id, "reassigned", GetUserId(), GetUserNameFromId(role, false));
	wake_at_commit(id);
	PG_RETURN_VOID();
}
