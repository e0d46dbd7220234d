// A statement in one short transaction: locks in short tries, then the statement, then the note
// that it was done.  It pauses after the statement; a crash leaves either all of it or nothing.
#include "operations/ddl/step.hpp"

#include "jobs/store.hpp"
#include "operations/ddl/permission.hpp"
#include "operations/ddl/sql.hpp"
#include "operations/ddl/step_run.hpp"

extern "C" {
#include "storage/lockdefs.h"
#include "utils/timestamp.h"
}

namespace safe_migrate::operations::ddl {

using namespace jobs;

namespace {

constexpr int most_holds = 3;

UndoTeller undo_teller = nullptr;

// The step as it is now, its locks held.
void run_statement(const StepRun &run)
{
	const StepContext &context = *run.context;
	check_target(*run.step); // as it cannot change any more
	check_names(run.step->names);
	ask_again(context, *run.step);
	const char *told = run.step->as_written ? run.step->sql : run.step->like;
	const char *undo = told ? undo_teller(told) : run.step->undo;
	if (told)
		set_undo(context.job_id, context.step_no, undo);
	run_own_statement(run.step->sql, !run.step->caller_path);
	if (!undo)
		forget_lost_undo(run);
}

// Was the last try ended for those who waited behind its locks?  It would be again.
bool held_too_long(const StepRun &run)
{
	return run.context->last_error == ERRCODE_QUERY_CANCELED && run.held_at != 0 &&
		   run.hold_limit_ms > 0 &&
		   TimestampDifferenceExceeds(run.held_at, GetCurrentTimestamp(), run.hold_limit_ms);
}

} // namespace

void tell_undo_by(UndoTeller teller) { undo_teller = teller; }

void run_in_transaction(StepRun *run)
{
	StepContext *context = run->context;
	BatchOptions options = {};
	int held = 0; // tries that others had to wait for too long
	for (;;) {
		if (context->next_batch(!run->step->reads_only) == Go::stop ||
			wait_for_standbys(run) == Go::stop)
			break;
		options.lock_timeout_ms = context->settings.ddl_lock_try;
		options.lock_mode = Max(run->strongest, static_cast<int>(AccessShareLock));
		if (!context->begin_statement())
			continue;
		context->last_error = 0;
		Batch batch = context->run_batch(
			[&] {
				if (run->look(run) == Found::done)
					set_undo(context->job_id, context->step_no, nullptr);
				else {
					take_locks(run);
					run_statement(*run);
				}
				finish_step(context->job_id, context->step_no);
			},
			options);
		context->end_statement();
		if (batch == Batch::committed)
			context->done = true;
		if (batch != Batch::again)
			break;
		if (held_too_long(*run) && ++held >= most_holds - 1)
			context->errors_are_final = true;
	}
	if (context->gave_up) {
		explain_failure(*run);
		clean_up_after_failure(run, false);
	}
}

void run_statement_step(StepContext *context)
{
	run_step(context, "schema change", look_by_queries, run_in_transaction);
}

} // namespace safe_migrate::operations::ddl
