// A worker: one process that carries out the steps of one job (number 0, which leads), or
// takes slices of its current step (the others).  Connected as the role that queued the job, with
// that role's rights and no more.
#include "jobs/worker.hpp"

#include "jobs/claim.hpp"
#include "jobs/cpu_slice.hpp"
#include "jobs/database_lifecycle.hpp"
#include "jobs/processes.hpp"
#include "jobs/rights.hpp"
#include "jobs/shared.hpp"
#include "jobs/step_runner.hpp"
#include "jobs/step_throttle.hpp"
#include "jobs/store.hpp"
#include "pg/boundary.hpp"
#include "pg/compat.hpp"
#include "pg/sql.hpp"
#include "pg/transaction.hpp"

extern "C" {
#include "access/xact.h"
#include "catalog/namespace.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
}

namespace safe_migrate::jobs {

Worker worker = {};

namespace {

void on_exit(int, Datum)
{
	// Claims: outside a transaction nobody else releases a session's locks (ShutdownPostgres()
	// aborts a transaction and releases advisory locks), and the next process to get this PGPROC
	// would inherit them.
	LockReleaseAll(DEFAULT_LOCKMETHOD, true);
	{
		Guard guard;
		LiveWorker &place = shared->workers[worker.slot];
		if (place.used && place.pid == MyProcPid) {
			place.ended_well = worker.ended_well;
			place.latch = nullptr;
			place.pid = 0;
		}
	}
	wake_scheduler(worker.home.database);
	ConditionVariableBroadcast(&shared->changed);
}

void connect()
{
	pg::connect_worker(worker.home.database, worker.connect_as);
	force_settings();
}

// False when the place was given away meanwhile: the scheduler that reserved it ended before this
// process began, and its successor saw a place without a process.
bool take_place(int slot)
{
	Oid database;
	memcpy(&database, MyBgworkerEntry->bgw_extra, sizeof database);
	worker.slot = slot;
	Guard guard;
	LiveWorker &place = shared->workers[slot];
	if (!place.used || place.pid != 0 || place.home.database != database)
		return false;
	place.pid = MyProcPid;
	place.latch = MyLatch;
	worker.home = place.home;
	worker.job_id = place.job;
	worker.number = place.number;
	worker.connect_as = place.connect_as;
	worker.owner = place.owner;
	return true;
}

// Somebody's pause() or configure() in an open transaction: waited for without a snapshot.
bool is_row_held() { return load_own_job(false) && !is_job_free(worker.job_id); }

void wait_for_row()
{
	StepContext context = {};
	(void)context.set_condition(Condition::locked, "an open transaction holds the job's row");
	context.wait_ms(500);
}

// A job's failure as its tables say it; the extension may be gone meanwhile.  False when it could
// not be written.
bool record_failure(ErrorData *error)
{
	bool held = false;
	ErrorData *second;
	do {
		if (held)
			wait_for_row();
		second = pg::run_transaction(
			[&] {
				held = is_row_held();
				if (!held && load_own_job(true))
					fail_job(worker.job_id, error, nullptr);
			},
			LOG);
	} while (!second && held);
	if (second)
		FreeErrorData(second);
	else
		publish_state(worker.home, worker.job_id, JobState::failed);
	return !second;
}

// SET ROLE, locked: as in a SECURITY DEFINER function, job code can't go back to the role that
// the worker is connected as, which the owner's other members are not.
void become_owner()
{
	SetConfigOption("role", GetUserNameFromId(worker.owner, false), PGC_USERSET, PGC_S_SESSION);
	SetUserIdAndSecContext(worker.owner, SECURITY_LOCAL_USERID_CHANGE);
}

} // namespace

bool extension_is_there() { return pg::extension_oid() == worker.home.extension; }

JobRow *load_own_job(bool lock)
{
	JobRow *job = extension_is_there() ? load_job(worker.job_id, lock) : nullptr;
	return job && extension_is_there() ? job : nullptr;
}

ErrorData *job_transaction(pg::Body body, void *arg)
{
	struct Frame {
		pg::Body body;
		void *arg;
	} frame = {body, arg};
	bool as_another = worker.connect_as != worker.owner;
	ErrorData *error = pg::run_transaction([&frame, as_another] {
		if (as_another)
			become_owner();
		frame.body(frame.arg);
	});
	if (as_another) { // a commit leaves it as it was, and none may begin with it
		Oid user;
		int security;
		GetUserIdAndSecContext(&user, &security);
		SetUserIdAndSecContext(user, 0);
	}
	return error;
}

namespace {

// What ended after it was cancelled, cancel() has not counted: it is at work under no lock of the
// job.
void note_late_steps()
{
	if (worker.number != 0)
		return;
	ErrorData *error = job_transaction([] {
		const JobRow *job = load_own_job(false);
		if (job && job->state == JobState::cancelled)
			note_what_is_left(worker.job_id);
	});
	if (error)
		elog(LOG, "job " INT64_FORMAT ": %s", worker.job_id, error->message);
}

struct Next {
	enum : uint8_t { step, finished, held, stop } what;
	StepRow *row;
	JobRow *job;
	int64 rows; // written so far
};

// The next step, or the job's end; marks job and step as running in the same transaction.
ErrorData *find_next(Next *next, MemoryContext memory)
{
	return job_transaction([&] {
		MemoryContextSwitchTo(memory);
		next->what = Next::stop;
		next->job = load_own_job(false);
		if (!next->job)
			return;
		bool lead = worker.number == 0;
		JobState state = next->job->state;
		if (state != JobState::running && !(lead && state == JobState::queued))
			return;
		if (lead && (state == JobState::queued || worker.noted_start == 0) && is_row_held()) {
			next->what = Next::held;
			return;
		}
		if (lead && state == JobState::queued &&
			move_job(worker.job_id, Action::start, InvalidOid, nullptr).effect != Effect::moves)
			return;
		if (lead && worker.noted_start == 0) {
			note_start(worker.job_id);
			worker.noted_start = GetCurrentTimestamp();
		}
		next->row = load_current_step(worker.job_id);
		if (!next->row && lead) {
			if (is_row_held()) {
				next->what = Next::held;
				return;
			}
			next->row = load_current_step(worker.job_id); // configure() may have added one
		}
		if (!next->row) {
			if (lead && move_job(worker.job_id, Action::succeed, InvalidOid, nullptr).effect !=
							Effect::moves)
				return; // somebody paused or cancelled it just now
			next->what = Next::finished;
			return;
		}
		if (lead) {
			start_step(worker.job_id, next->row->step_no);
			next->rows = rows_written(worker.job_id);
		}
		next->what = Next::step;
	});
}

void show_phase(const JobRow &job, const StepRow &step, int64 rows)
{
	{
		Guard guard;
		if (LiveJob *live = live_job_at_work(worker.home, job.id)) {
			live->step_no = step.step_no;
			live->rows_written = Max(live->rows_written, rows); // a crash has forgotten them
			live->step_count = job.step_count;
			if (worker.number == 0)
				set_text(live->phase, sizeof live->phase, step.kind);
		}
	}
	char activity[96];
	snprintf(activity, sizeof activity, "job " INT64_FORMAT ": %s", job.id, step.kind);
	worker.activity = MemoryContextStrdup(TopMemoryContext, activity);
	pgstat_report_appname(psprintf("safe_migrate job " INT64_FORMAT, job.id));
}

enum class Ended : uint8_t {
	next,	// the step is done: look for the next one
	well,	// told to stop, nothing left for a helper, or its failure is written down
	trouble // the tables could not be read or written: try again after a pause
};

// Runs one step to its end or until it is told to stop.
Ended run_step(const Next &next, MemoryContext memory)
{
	const StepRunner *runner = find_step_runner(next.row->kind);
	if (!runner) {
		ErrorData *error = pg::run_transaction([&] {
			ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
							errmsg("step kind \"%s\" is not known to this version of safe_migrate",
								   next.row->kind)));
		});
		return record_failure(error) ? Ended::well : Ended::trouble;
	}
	StepContext context = {};
	context.job_id = worker.job_id;
	context.step_no = next.row->step_no;
	context.worker_number = worker.number;
	context.workers = next.job->workers;
	context.owner = next.job->owner;
	context.definition = next.row->definition;
	context.memory = memory;
	show_phase(*next.job, *next.row, next.rows);
	context.relation = next.job->relation;
	context.session_settings = next.job->session_settings;
	begin_step(&context, *next.job);
	runner->run(&context);
	end_throttle(&context);
	if (context.failure)
		return record_failure(context.failure) ? Ended::well : Ended::trouble;
	if (context.trouble)
		return Ended::trouble;
	return context.done && worker.number == 0 ? Ended::next : Ended::well;
}

void run_job()
{
	MemoryContext memory =
		AllocSetContextCreate(TopMemoryContext, "safe_migrate step", ALLOCSET_DEFAULT_SIZES);
	for (;;) {
		MemoryContextReset(memory);
		MemoryContextSwitchTo(memory);
		Next next = {};
		if (worker.number == 0) {
			bool mine = false;
			ErrorData *error = job_transaction([&] { mine = claim_job(worker.job_id); });
			if (error)
				elog(LOG, "job " INT64_FORMAT ": %s", worker.job_id, error->message);
			if (error || !mine)
				return; // another one leads it
		}
		ErrorData *error = find_next(&next, memory);
		if (error) {
			// bookkeeping failed: the scheduler starts the job again after a pause
			elog(LOG, "job " INT64_FORMAT ": %s", worker.job_id, error->message);
			FreeErrorData(error);
			return;
		}
		if (next.what == Next::held) {
			wait_for_row();
			continue;
		}
		if (next.what == Next::finished && worker.number == 0)
			publish_state(worker.home, worker.job_id, JobState::succeeded);
		worker.ended_well = next.what != Next::step;
		if (next.what == Next::stop)
			note_late_steps();
		if (worker.ended_well)
			return;
		if (worker.number == 0)
			publish_state(worker.home, worker.job_id, JobState::running);
		Ended ended = run_step(next, memory);
		worker.ended_well = ended == Ended::well;
		if (worker.ended_well)
			note_late_steps();
		if (ended != Ended::next)
			return;
	}
}

} // namespace

void keep_last_words(const char *why)
{
	if (worker.job_id == 0 || worker.number != 0)
		return;
	Guard guard;
	if (LiveJob *live = find_live_job(worker.home, worker.job_id, false))
		set_text(live->last_words, sizeof live->last_words, why);
}

} // namespace safe_migrate::jobs

extern "C" {
PGDLLEXPORT void safe_migrate_worker_main(Datum arg);
}

void safe_migrate_worker_main(Datum arg)
{
	safe_migrate::pg::entry([arg] {
		using namespace safe_migrate::jobs;
		set_up_signals(true);
		if (!take_place(DatumGetInt32(arg)))
			return;
		before_shmem_exit(on_exit, 0);
		if (database_is_barred(worker.home.database))
			return;
		connect();
		prefer_others_on_cpu();
		run_job();
	});
}
