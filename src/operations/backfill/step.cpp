// The step of a backfill or purge: see step.hpp.  The leading worker cuts the leaves into
// slices, all workers take slices until none is open, the leader looks at the totals of the pass
// and begins another one until nothing matches any more.
#include "operations/backfill/step.hpp"

#include "jobs/claim.hpp"
#include "jobs/store.hpp"
#include "jobs/worker.hpp"
#include "operations/backfill/closing_check.hpp"
#include "operations/backfill/definition.hpp"
#include "operations/backfill/passes.hpp"
#include "operations/backfill/slice_work.hpp"
#include "operations/backfill/slices.hpp"
#include "pg/holder.hpp"

extern "C" {
#include "utils/timestamp.h"
}

namespace safe_migrate::operations::backfill {

using namespace jobs;

namespace {

struct Run {
	StepContext *context;
	Definition *definition;
	int pass;
	PassStart start;
	int64 found_before; // by the pass before this one
	int64 again_before; // rows_again of the last pass that had any
	OwnWrites own;
	TimestampTz only_locked_since; // 0 = no
	MemoryContext list_memory;	   // of the slices to be taken
};

int stored_pass(const StepContext &context)
{
	StepRow *step = load_current_step(context.job_id);
	return step && step->step_no == context.step_no ? step->pass : 0;
}

// The pass to go on with. Where all of the last one's slices are done its verdict was told, or a
// crash came before it: the rows are looked at again, as they may be others by now.
int pass_to_begin(const StepContext &context)
{
	int stored = stored_pass(context);
	if (stored == 0)
		return 1;
	return pass_totals(context.job_id, context.step_no).slices_open > 0 ? stored : stored + 1;
}

void set_phase(const Run *run, const char *more = "")
{
	char phase[48];
	snprintf(phase, sizeof phase, "%s, pass %d%s",
			 run->definition->action == RowAction::update ? "backfill" : "delete", run->pass, more);
	run->context->set_phase(phase);
}

// Cuts the slices of the pass, or finds those of an earlier run of this step.
bool begin_pass(Run *run, int pass)
{
	StepContext *context = run->context;
	PassStart start = {};
	const Leaves &leaves = start.leaves;
	PassTotals totals = {};
	MemoryContext memory = context->memory;
	bool begun = context->run_until_committed(
		[&] {
			MemoryContext old = MemoryContextSwitchTo(memory);
			start.leaves = find_leaves(run->definition->relation);
			start.seen_before = InvalidFullTransactionId;
			MemoryContextSwitchTo(old);
			if (stored_pass(*context) < pass) {
				start.seen_before = oldest_running();
				cut_slices(context->job_id, context->step_no, pass, leaves, context->workers);
			}
			totals = pass_totals(context->job_id, context->step_no);
		},
		{1000, false, false});
	if (!begun)
		return false;
	run->pass = pass;
	run->start = start;
	context->leaves = leaves.oids;
	context->n_leaves = leaves.n;
	context->start_units(totals.blocks_total, pass);
	context->report({0, 0, totals.blocks_done, 0});
	set_phase(run);
	context->want_workers(Min(context->workers, Max(totals.slices_open, 1)));
	context->takes_helpers = true;
	return true;
}

enum class Taken : uint8_t { none_open, some, stop };

// Takes every slice that nobody holds, one after the other.
Taken work_on_slices(Run *run)
{
	StepContext *context = run->context;
	SliceList list = {};
	MemoryContextReset(run->list_memory); // the leader comes here again and again while it waits
	MemoryContext memory = run->list_memory;
	if (context->next_batch(false) == Go::stop)
		return Taken::stop;
	Batch batch = context->run_batch(
		[&] {
			MemoryContext old = MemoryContextSwitchTo(memory);
			list = open_slices(context->job_id, context->step_no);
			MemoryContextSwitchTo(old);
		},
		{1000, true, false});
	if (batch != Batch::committed)
		return batch == Batch::stop ? Taken::stop : Taken::some;
	for (int i = 0; i < list.n; i++)
		if (!work_on_slice(context, *run->definition, list.slices[i], &run->own))
			return Taken::stop;
	return list.n == 0 ? Taken::none_open : Taken::some;
}

// Until every slice of the pass is done, by whomever.
bool finish_pass(Run *run, PassTotals *totals)
{
	StepContext *context = run->context;
	for (;;) {
		Taken taken = work_on_slices(run);
		if (taken == Taken::stop)
			return false;
		if (taken == Taken::none_open)
			break;
		context->wait_ms(20); // the rest is in other workers' hands
	}
	context->takes_helpers = false;
	context->want_workers(1);
	MemoryContext memory = context->memory;
	return context->run_until_committed(
		[&] {
			MemoryContext old = MemoryContextSwitchTo(memory);
			(void)find_leaves(run->definition->relation); // an error where it was dropped
			*totals = pass_totals(context->job_id, context->step_no);
			forget_left_out(context->job_id, context->step_no, &run->start.leaves);
			MemoryContextSwitchTo(old);
		},
		{1000, true, false});
}

[[noreturn]] void raise_circling(const PassTotals &totals)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_CHECK_VIOLATION),
		 errmsg_plural(INT64_FORMAT " row matches the predicate each time the job has written it",
					   INT64_FORMAT " rows match the predicate each time the job has written them",
					   totals.rows_thrice, totals.rows_thrice),
		 errdetail("Nobody else has changed them meanwhile: rows make each other match, or a "
				   "function says something else each time."),
		 errhint("Choose a predicate that a written row no longer satisfies, whatever is written "
				 "to other rows.")));
	pg_unreachable();
}

// The errors a finished pass may end the job with.
[[noreturn]] void raise_verdict(PassVerdict verdict, const PassTotals &totals)
{
	const char *sample = totals.sample ? totals.sample : "?";
	switch (verdict) {
		case PassVerdict::still_locked:
			ereport(ERROR, (errcode(ERRCODE_LOCK_NOT_AVAILABLE),
							errmsg_plural(INT64_FORMAT " row stays locked by another transaction",
										  INT64_FORMAT " rows stay locked by other transactions",
										  totals.rows_locked, totals.rows_locked),
							errdetail("One of them: %s.", sample),
							errhint("End those transactions, then call safe_migrate.retry().")));
			break;
		case PassVerdict::unmatched:
			ereport(
				ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg_plural(
					 INT64_FORMAT " row would still satisfy the predicate after the assignment",
					 INT64_FORMAT " rows would still satisfy the predicate after the assignment",
					 totals.rows_unmatched, totals.rows_unmatched),
				 errdetail_plural("It was left as it is: ctid %s.",
								  "They were left as they are. The first of them: ctid %s.",
								  totals.rows_unmatched, sample),
				 errhint(
					 "Look for rows where an expression gives null or the value it had, and queue "
					 "another job for them.")));
			break;
		case PassVerdict::circling:
			raise_circling(totals);
		default:
			ereport(ERROR, (errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
							errmsg_plural("a trigger kept back " INT64_FORMAT " row",
										  "a trigger kept back " INT64_FORMAT " rows",
										  totals.rows_kept, totals.rows_kept),
							errdetail("A BEFORE trigger returned null for them.")));
	}
	pg_unreachable();
}

void tell_keeps_coming(const Run &run, const PassTotals &totals)
{
	const char *why = run.definition->reads_itself
						  ? "they were inserted or changed while the job ran, by others or by it"
						  : "does the application write the column?";
	add_event(run.context->job_id, "notice", InvalidOid,
			  psprintf("rows that match keep arriving: " INT64_FORMAT " in pass %d; %s",
					   totals.rows_written, run.pass, why));
}

// Is there a leaf that the pass did not read: attached since, or again after it was left out?
bool has_new_leaf(const Run *run)
{
	Leaves now = find_leaves(run->definition->relation);
	for (int i = 0; i < now.n; i++)
		if (!OidIsValid(file_of(run->start.leaves, now.oids[i])))
			return true;
	return false;
}

// Marks the step as done, or raises what the job fails with; in a transaction that is awaited.
// False = a leaf has come meanwhile: another pass.
bool end_step(Run *run, PassVerdict verdict, const PassTotals &totals)
{
	StepContext *context = run->context;
	bool new_leaf = false;
	context->errors_are_final = verdict == PassVerdict::still_locked; // it was tried long enough
	bool committed = context->run_until_committed(
		[&] {
			new_leaf = (verdict == PassVerdict::complete || verdict == PassVerdict::keeps_coming) &&
					   has_new_leaf(run);
			if (new_leaf)
				return;
			if (verdict == PassVerdict::keeps_coming)
				tell_keeps_coming(*run, totals);
			else if (verdict != PassVerdict::complete)
				raise_verdict(verdict, totals);
			forget_own_writes(context->job_id, context->step_no);
			finish_step(context->job_id, context->step_no);
		},
		{1000, false, false});
	context->done = committed && !new_leaf;
	return !committed || !new_leaf;
}

// What seems complete is looked at under one snapshot; where rows keep coming, for those that were
// there before the job: the rows written last may have made them match. False = told to stop.
bool look_closer(Run *run, const PassTotals &totals, PassResult *result, PassVerdict *verdict)
{
	StepContext *context = run->context;
	const bool is_complete = *verdict == PassVerdict::complete;
	FullTransactionId older_than = is_complete ? InvalidFullTransactionId : totals.begun;
	if (!is_complete && !TransactionIdIsValid(comparable(older_than)))
		return true;
	context->start_units(totals.blocks_total, run->pass);
	set_phase(run, ", closing check");
	switch (closing_check(context, *run->definition, run->start, run->pass, older_than)) {
		case Closing::stop:
			return false;
		case Closing::missed:
			result->rows_missed = 1;
			*verdict = is_complete ? after_pass(*result) : PassVerdict::again;
			break;
		case Closing::complete:
			break;
	}
	return true;
}

void show_row_wait(StepContext *context, const PassTotals &totals)
{
	int pid = 0;
	(void)job_transaction([&] { pid = pg::holder_of_transaction(totals.locked_by).pid; });
	(void)context->set_condition(Condition::locked, totals.sample, pid);
}

void lead(Run *run)
{
	StepContext *context = run->context;
	int pass = 1;
	if (!context->run_until_committed([&] { pass = pass_to_begin(*context); }, {}))
		return;
	for (;;) {
		PassTotals totals = {};
		if (!begin_pass(run, pass) || !finish_pass(run, &totals))
			return;
		TimestampTz now = GetCurrentTimestamp();
		bool only_locked = totals.rows_written == 0 && totals.rows_locked > 0;
		if (!only_locked)
			run->only_locked_since = 0;
		else if (run->only_locked_since == 0)
			run->only_locked_since = now;
		PassResult result = {pass,
							 totals.rows_written,
							 run->found_before,
							 totals.rows_old,
							 totals.rows_again,
							 totals.rows_thrice,
							 run->again_before,
							 0,
							 totals.rows_locked,
							 totals.rows_unmatched,
							 totals.rows_kept,
							 only_locked ? (now - run->only_locked_since) / 1000 : 0,
							 context->settings.locked_row_patience,
							 run->definition->reads_itself};
		PassVerdict verdict = after_pass(result);
		if (verdict == PassVerdict::complete ||
			(verdict == PassVerdict::keeps_coming && run->definition->reads_itself)) {
			if (!look_closer(run, totals, &result, &verdict))
				return;
			totals.rows_written += result.rows_missed;
		}
		if (verdict != PassVerdict::again && verdict != PassVerdict::again_later &&
			end_step(run, verdict, totals))
			return;
		if (verdict == PassVerdict::again_later) {
			show_row_wait(context, totals);
			int64 pause = Min(INT64CONST(5000), 100 + (now - run->only_locked_since) / 4000);
			context->wait_ms(pause);
		}
		if (result.rows_again > 0)
			run->again_before = result.rows_again;
		run->found_before = result.rows_written + result.rows_missed;
		pass++;
	}
}

} // namespace

void run_step(StepContext *context)
{
	MemoryContext old = MemoryContextSwitchTo(context->memory);
	Run run = {};
	run.context = context;
	run.definition = from_json(context->definition);
	run.list_memory =
		AllocSetContextCreate(context->memory, "safe_migrate slice list", ALLOCSET_DEFAULT_SIZES);
	run.own.memory =
		AllocSetContextCreate(context->memory, "safe_migrate own writes", ALLOCSET_DEFAULT_SIZES);
	if (context->worker_number == 0)
		lead(&run);
	else if (work_on_slices(&run) != Taken::stop)
		context->want_workers(1); // none is open that nobody holds
	MemoryContextSwitchTo(old);
}

} // namespace safe_migrate::operations::backfill
