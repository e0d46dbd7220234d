// CALL safe_migrate.wait(job, timeout): commits, then waits without a snapshot, printing
// progress.  State and progress come from shared memory; only a job that is not live there is
// looked up in its table, in a transaction of its own.
#include "jobs/find_job.hpp"
#include "jobs/rights.hpp"
#include "jobs/progress_meter.hpp"
#include "jobs/shared.hpp"
#include "jobs/store.hpp"
#include "jobs/wait.hpp"
#include "pg/arguments.hpp"
#include "pg/boundary.hpp"
#include "pg/sql.hpp"
#include "pg/sqlstates.hpp"

extern "C" {
#include "access/xact.h"
#include "catalog/pg_extension.h"
#include "executor/spi.h"
#include "nodes/parsenodes.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"
}

namespace safe_migrate::jobs {

namespace {

constexpr long poll_ms = 500;

void refuse_in_transaction(FunctionCallInfo fcinfo)
{
	if (fcinfo->context && IsA(fcinfo->context, CallContext) &&
		!castNode(CallContext, fcinfo->context)->atomic)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
			 errmsg("safe_migrate.wait() can't run inside a transaction block"),
			 errdetail("The job starts when the transaction that queued it commits, so waiting "
					   "inside it would never end."),
			 errhint("Call it outside a transaction block (in autocommit mode), or use "
					 "SELECT safe_migrate.require('job name') in the next migration.")));
}

[[noreturn]] void raise_job_error(const JobRow &job)
{
	const char *code =
		job.error_sqlstate && strlen(job.error_sqlstate) == 5 ? job.error_sqlstate : "XX000";
	const char *what =
		*job.relation_name ? psprintf("%s of %s", job.kind, job.relation_name) : job.kind;
	ereport(ERROR, (errcode(MAKE_SQLSTATE(code[0], code[1], code[2], code[3], code[4])),
					errmsg_internal("%s", job.error_message ? job.error_message : "job failed"),
					job.error_detail ? errdetail_internal("%s", job.error_detail) : 0,
					job.error_hint ? errhint("%s", job.error_hint) : 0,
					errcontext("job " INT64_FORMAT " (%s)", job.id, what)));
	pg_unreachable();
}

// True when the job has ended well; raises its error when it has not.
bool ended(const JobRow &job)
{
	switch (job.state) {
		case JobState::succeeded:
			return true;
		case JobState::failed:
			raise_job_error(job);
		case JobState::cancelled:
			ereport(ERROR, (errcode(ERRCODE_QUERY_CANCELED),
							errmsg("job " INT64_FORMAT " was cancelled", job.id),
							job.state_reason ? errdetail("%s", job.state_reason) : 0));
			break;
		case JobState::queued:
		case JobState::running:
		case JobState::paused:
			break;
	}
	return false;
}

struct Waiter {
	Home home;
	JobId id;
	TimestampTz started;
	Pace pace;
	Condition last_condition;
	JobState last_state;
	bool paused_said;
	uint32 notices;	   // that the job is known to have written
	int64 last_notice; // event
};

void print_line(Waiter *waiter, const LiveJob &live)
{
	bool news = live.condition != waiter->last_condition || live.state != waiter->last_state;
	if (!is_time_for_line(&waiter->pace, GetCurrentTimestamp(), news))
		return;
	char line[progress_line_length];
	write_progress_line(line, meter_of(live));
	ereport(NOTICE, (errmsg_internal("job " INT64_FORMAT ": %s", waiter->id, line)));
	waiter->last_condition = live.condition;
	waiter->last_state = live.state;
}

void say_goes_on(JobId id)
{
	if (QueryCancelPending || ProcDiePending)
		ereport(NOTICE, (errmsg("job " INT64_FORMAT " goes on in the background", id),
						 errhint("See safe_migrate.progress; stop it with "
								 "SELECT safe_migrate.cancel(" INT64_FORMAT ").",
								 id)));
}

bool live_copy(const Waiter &waiter, LiveJob *copy)
{
	Guard guard(LW_SHARED);
	LiveJob *live = find_live_job(waiter.home, waiter.id, false);
	if (live)
		*copy = *live;
	return live != nullptr;
}

void print_end(const JobRow &job, const Waiter &waiter, const LiveJob &live)
{
	if (waiter.pace.lines == 0)
		return;
	char rows[64], time[64];
	write_grouped(rows, sizeof rows, Max(live.rows_written, rows_written(job.id)));
	write_duration(time, sizeof time,
				   static_cast<double>(GetCurrentTimestamp() - waiter.started) / 1e6);
	ereport(NOTICE, (errmsg("job " INT64_FORMAT " %s: %s rows, waited %s", job.id,
							name_of(job.state), rows, time)));
}

JobRow *job_or_gone(const Waiter &waiter)
{
	// after a DROP EXTENSION that is under way
	LockDatabaseObject(ExtensionRelationId, waiter.home.extension, 0, AccessShareLock);
	bool dropped = pg::extension_oid() != waiter.home.extension;
	JobRow *job = dropped ? nullptr : load_job(waiter.id, false);
	if (!job)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("job " INT64_FORMAT " does not exist any more", waiter.id),
						dropped ? errdetail("Extension \"safe_migrate\" has been dropped, and all "
											"of its jobs with it.")
								: 0));
	return job;
}

// What happened to the job since it was queued, or queued again.
void print_notices(Waiter *waiter)
{
	const pg::Arg args[] = {pg::arg_int8(waiter->id), pg::arg_int8(waiter->last_notice)};
	pg::query(
		"SELECT e.id, e.detail FROM safe_migrate.event e"
		" WHERE e.job_id = $1 AND e.kind = 'notice' AND e.id > $2 AND e.id > coalesce((SELECT"
		"   max(q.id) FROM safe_migrate.event q WHERE q.job_id = $1 AND q.kind = 'queued'), 0)"
		" ORDER BY e.id",
		args, lengthof(args), [waiter](HeapTuple t, TupleDesc d) {
			waiter->last_notice = pg::column_int8(t, d, 1);
			ereport(NOTICE, (errmsg_internal("job " INT64_FORMAT ": %s", waiter->id,
											 pg::column_text(t, d, 2))));
		});
}

// The row, read in a transaction that ends at once: no snapshot, no lock stays.
bool look_at_row(Waiter *waiter, const LiveJob &live)
{
	JobRow *job = job_or_gone(*waiter);
	print_notices(waiter);
	bool over = ended(*job);
	if (over)
		print_end(*job, *waiter, live);
	else if (job->state == JobState::paused && !waiter->paused_said) {
		waiter->paused_said = true;
		ereport(NOTICE,
				(errmsg("job " INT64_FORMAT " is paused%s%s", job->id,
						job->state_reason ? ": " : "", job->state_reason ? job->state_reason : ""),
				 !job->at_home ? hint_elsewhere()
				 : owner_is_gone(*job)
					 ? errhint("It goes on by SELECT safe_migrate.reassign(" INT64_FORMAT
							   ", 'role'), safe_migrate.resume(" INT64_FORMAT ").",
							   job->id, job->id)
					 : errhint("It goes on by SELECT safe_migrate.resume(" INT64_FORMAT ").",
							   job->id)));
	} else if (job->state != JobState::paused)
		waiter->paused_said = false;
	SPI_commit();
	return over;
}

// As ConditionVariableTimedSleep(), but leaves it to the caller to take interrupts: that one raises
// the error of a cancel before a word can be said.  After ConditionVariablePrepareToSleep().
void sleep_until_changed(long timeout_ms)
{
	(void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, timeout_ms,
					PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
}

void wait_for(const Home &home, JobId id, TimestampTz deadline)
{
	Waiter waiter = {};
	waiter.home = home;
	waiter.id = id;
	waiter.started = GetCurrentTimestamp();
	waiter.pace = begin_pace(waiter.started);
	TimestampTz looked = 0;

	for (;;) {
		ConditionVariablePrepareToSleep(&shared->changed);
		LiveJob live = {};
		bool is_live = live_copy(waiter, &live);
		TimestampTz now = GetCurrentTimestamp();
		bool steady = is_live && live.state != JobState::paused && !is_final(live.state);
		bool news = is_live && live.notices != waiter.notices;
		if (!steady || news || now - looked > INT64CONST(10000000)) {
			looked = now;
			waiter.notices = live.notices;
			if (look_at_row(&waiter, live))
				break;
		}
		if (steady)
			print_line(&waiter, live);
		if (deadline != 0 && now >= deadline)
			ereport(ERROR, (errcode(pg::errcode_not_succeeded),
							errmsg("job " INT64_FORMAT " has not ended in time", id),
							errdetail("%s", describe_progress(id, live)),
							errhint("Only the wait has ended; the job is as it was.")));
		long timeout = poll_ms;
		if (deadline != 0)
			timeout = Max(1L, Min(timeout, static_cast<long>((deadline - now) / 1000) + 1));
		sleep_until_changed(timeout);
		say_goes_on(id);
		CHECK_FOR_INTERRUPTS();
	}
	ConditionVariableCancelSleep();
}

} // namespace

void commit_and_wait(FunctionCallInfo fcinfo, const char *argument, int timeout_argument,
					 JobId (*find)(FunctionCallInfo))
{
	refuse_in_transaction(fcinfo);
	require_preload();
	pg::refuse_null(fcinfo, 0, argument);
	JobId id = find(fcinfo);
	TimestampTz deadline = 0;
	if (!PG_ARGISNULL(timeout_argument))
		deadline = DatumGetTimestampTz(
			DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(GetCurrentTimestamp()),
								PG_GETARG_DATUM(timeout_argument)));
	(void)job_or_error(id);
	Home home = {MyDatabaseId, pg::extension_oid()};
	if (SPI_connect_ext(SPI_OPT_NONATOMIC) != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	SPI_commit();
	wait_for(home, id, deadline);
	SPI_finish();
}

Meter meter_of(const LiveJob &live)
{
	return {live.state,			live.condition,	  live.phase,	   live.detail,
			live.step_no,		live.step_count,  live.pass,	   live.rows_written,
			live.units_done,	live.units_total, live.rates.rows, live.rates.units,
			live.replica_lag_us};
}

} // namespace safe_migrate::jobs

SAFE_MIGRATE_FUNCTION(safe_migrate_wait)
{
	safe_migrate::jobs::commit_and_wait(
		fcinfo, "job", 1, [](FunctionCallInfo call) { return DatumGetInt64(call->args[0].value); });
	PG_RETURN_VOID();
}

SAFE_MIGRATE_FUNCTION(safe_migrate_wait_name)
{
	safe_migrate::jobs::commit_and_wait(fcinfo, "job_name", 1, [](FunctionCallInfo call) {
		return safe_migrate::jobs::job_by_name(text_to_cstring(DatumGetTextPP(call->args[0].value)),
											   safe_migrate::jobs::Named::visible,
											   safe_migrate::jobs::is_under_way);
	});
	PG_RETURN_VOID();
}
