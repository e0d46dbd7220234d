// A statement that has transactions of its own.  Its lock is taken in short tries for the session
// first: a lock_timeout while it runs would also end its waits for old transactions and leave a
// wreck.  It pauses after the statement; cancel() interrupts it.
#include "operations/ddl/step.hpp"

#include "jobs/store.hpp"
#include "jobs/worker.hpp"
#include "operations/ddl/sql.hpp"
#include "operations/ddl/step_run.hpp"
#include "pg/sql.hpp"

extern "C" {
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
}

namespace safe_migrate::operations::ddl {

using namespace jobs;

namespace {

LockRelId lock_id(Oid relation) { return {relation, MyDatabaseId}; }

// Keeps the locks over the end of the transaction.
void take_session_locks(const StepRun &run)
{
	TimestampTz deadline = begin_stay(run);
	for (int i = 0; i < run.step->n_locks; i++) {
		LockRelId id = lock_id(run.step->locks[i].relation);
		stay_until(deadline);
		LockRelationIdForSession(&id, static_cast<LOCKMODE>(run.step->locks[i].mode));
	}
}

void release_session_locks(const StepRun &run)
{
	for (int i = 0; i < run.step->n_locks; i++) {
		LockRelId id = lock_id(run.step->locks[i].relation);
		UnlockRelationIdForSession(&id, static_cast<LOCKMODE>(run.step->locks[i].mode));
	}
}

// Told to stop for good, and not only paused; or the job is gone.
bool was_cancelled()
{
	bool cancelled = false;
	ErrorData *error = job_transaction([&] {
		const JobRow *job = load_own_job(false);
		cancelled = !job || job->state == JobState::cancelled;
	});
	return !error && cancelled;
}

// A cancel that came between the statement and the note that it is done: the work is there, and is
// said to be.
void note_work_done(StepRun *run)
{
	const StepContext &context = *run->context;
	ErrorData *error = job_transaction([&] {
		if (load_own_job(false) == nullptr)
			return;
		PushActiveSnapshot(GetTransactionSnapshot());
		if (run->look(run) == Found::done)
			finish_step(context.job_id, context.step_no);
		PopActiveSnapshot();
	});
	if (error)
		elog(LOG, "job " INT64_FORMAT ": %s", context.job_id, error->message);
}

enum class Round : uint8_t { finished, ready, again, stop };

// Finds out whether there is something to do, and holds the locks where there is.
Round prepare(StepRun *run)
{
	StepContext *context = run->context;
	if (context->next_batch(true) == Go::stop)
		return Round::stop;
	bool done = false;
	BatchOptions options = {};
	options.lock_timeout_ms = context->settings.ddl_lock_try;
	options.lock_mode = Max(run->strongest, static_cast<int>(AccessShareLock));
	Batch batch = context->run_batch(
		[&] {
			done = run->look(run) == Found::done;
			if (done) {
				if (!run->step->begun)
					set_undo(context->job_id, context->step_no, nullptr);
				finish_step(context->job_id, context->step_no);
				return;
			}
			take_session_locks(*run);
			mark_begun(context->job_id, context->step_no, true);
		},
		options);
	if (batch != Batch::committed)
		return batch == Batch::again ? Round::again : Round::stop;
	run->step->begun = true;
	return done ? Round::finished : Round::ready;
}

} // namespace

void run_at_top_level(StepRun *run)
{
	StepContext *context = run->context;
	bool begun = false;
	for (;;) {
		Round round = prepare(run);
		if (round == Round::again)
			continue;
		if (round == Round::finished)
			context->done = true;
		if (round != Round::ready)
			break;
		ErrorData *error = clean_up(run, true);
		if (!error) {
			if (!context->begin_statement()) {
				release_session_locks(*run);
				continue;
			}
			begun = true;
			error = run_own_top_level(run->step->sql);
			context->end_statement();
		}
		if (!error)
			release_session_locks(*run); // an error's abort has released them
		else if (context->handle_error(error) == Batch::stop)
			break;
	}
	if (context->gave_up)
		explain_failure(*run);
	bool cancelled = !context->gave_up && !context->done && was_cancelled();
	if (!context->gave_up && !cancelled)
		return;
	if (cancelled && begun)
		note_work_done(run);
	bool clean = clean_up_after_failure(run, true);
	if (cancelled && begun && !clean && run->step->left)
		context->note_event("left", run->step->left);
}

void run_top_level_step(StepContext *context)
{
	run_step(context, "schema change", look_by_queries, run_at_top_level);
}

} // namespace safe_migrate::operations::ddl
