// One slice in one worker: see slice_work.hpp.
#include "operations/backfill/closing_check.hpp"
#include "operations/backfill/slice_work.hpp"

#include "jobs/claim.hpp"
#include "jobs/store.hpp"
#include "jobs/throttle/signals.hpp"
#include "jobs/wal_segments.hpp"
#include "operations/backfill/batch_target.hpp"
#include "operations/backfill/slice_progress.hpp"
#include "operations/backfill/slice_runner.hpp"
#include "operations/backfill/validate.hpp"
#include "pg/holder.hpp"
#include "pg/horizon.hpp"
#include "settings.hpp"

extern "C" {
#include "access/xact.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
}

namespace safe_migrate::operations::backfill {

using namespace jobs;

namespace {

constexpr int64 save_every_us = 1'000'000; // the cursor, at most
constexpr int batch_lock_timeout_ms = 50;

struct Work {
	StepContext *context;
	const Definition *definition;
	Slice slice;
	SliceRunner *runner;
	BatchTotals unsaved;
	OwnWrites *own;			 // of the passes before; in the batches since it was saved:
	List *once, *again;		 // transactions that wrote rows, and such as it had written before
	bool own_saved;			 // by the batch at hand
	const char *sample;		 // of a row that was left alone
	TransactionId locked_by; // that row; invalid: not for a lock
	TimestampTz saved_at;
	BatchTarget target;
	// horizon
	TimestampTz waiting_since; // 0 = not waiting
	bool horizon_noted;		   // an event tells of this wait
	TransactionId stuck_xid;   // without page filling until this one is past the horizon
	BlockNumber cursor;		   // as of the last batch that committed
	SliceProgress progress;
	BatchLog change; // of the job's progress, with Outcome::changed
	bool over;		 // finished, lost or cut again: nothing left to save
};

void add(BatchTotals *sum, const BatchTotals &batch)
{
	sum->rows_matched += batch.rows_matched;
	sum->rows_written += batch.rows_written;
	sum->rows_hot += batch.rows_hot;
	sum->rows_locked += batch.rows_locked;
	sum->rows_unmatched += batch.rows_unmatched;
	sum->rows_kept += batch.rows_kept;
	sum->rows_old += batch.rows_old;
	sum->rows_again += batch.rows_again;
	sum->rows_thrice += batch.rows_thrice;
	sum->pages_visited += batch.pages_visited;
}

// A row of a partition is found in that partition.
const char *table_of_sample(const Work &work)
{
	if (work.slice.relation == work.definition->relation)
		return nullptr;
	return get_rel_name(work.slice.relation);
}

void keep_sample(Work *work, const BatchResult &result)
{
	MemoryContext old = MemoryContextSwitchTo(work->context->memory);
	if (result.unmatched_sample && !work->sample) {
		const char *table = table_of_sample(*work);
		work->sample = table ? psprintf("%s of table \"%s\"", result.unmatched_sample, table)
							 : pstrdup(result.unmatched_sample);
	} else if (result.totals.rows_locked > 0 && !work->sample) {
		work->sample = pg::describe_row_holder(&result.locked_sample, table_of_sample(*work),
											   result.locked_by);
		work->locked_by = result.locked_by;
	}
	MemoryContextSwitchTo(old);
}

// May a row that it has written come to match by what it writes?
bool writes_may_return(const Work &work)
{
	return work.definition->reads_itself && work.definition->action == RowAction::update;
}

void keep_own(Work *work, const BatchTotals &totals)
{
	const TransactionId xid = GetTopTransactionIdIfAny();
	if (totals.rows_written == 0 || !TransactionIdIsValid(xid) || !writes_may_return(*work))
		return;
	MemoryContext old = MemoryContextSwitchTo(work->context->memory);
	List **list = totals.rows_again > 0 ? &work->again : &work->once;
	*list = lappend_oid(*list, xid);
	MemoryContextSwitchTo(old);
}

void forget_saved(Work *work)
{
	list_free(work->once);
	list_free(work->again);
	work->once = work->again = NIL;
	work->own_saved = false;
}

// Needs a transaction; false where the slice is another one by now.
bool save(const Work *work, BlockNumber cursor, bool done)
{
	const StepContext *context = work->context;
	if (!save_slice(context->job_id, context->step_no, work->slice, cursor, done, work->unsaved,
					work->sample, work->locked_by))
		return false;
	store_own_writes(context->job_id, context->step_no, work->once, work->again);
	return true;
}

enum class Outcome : uint8_t { more, wait, finished, changed, lost };

// What changes the number of blocks to do is told when it has committed.
template <class F> void change_slices(Work *work, F &&change)
{
	const StepContext *context = work->context;
	PassTotals before = pass_totals(context->job_id, context->step_no);
	change();
	PassTotals now = pass_totals(context->job_id, context->step_no);
	work->change = {0, 0, now.blocks_done - before.blocks_done,
					now.blocks_total - before.blocks_total};
}

// A leaf that was detached is somebody else's business from the next batch on.
void leave_leaf(Work *work)
{
	const StepContext *context = work->context;
	Oid leaf = work->slice.relation;
	change_slices(work, [&] {
		if (!leave_out(context->job_id, context->step_no, leaf))
			return;
		const char *name = get_rel_name(leaf);
		add_event(
			context->job_id, "notice", InvalidOid,
			psprintf("table \"%s\" was detached and is left as it is now", name ? name : "?"));
	});
}

// How much WAL the batch may leave unflushed, in bytes, 0 = any: a care for others' commits.
int64 begin_wal()
{
	if (!StepContext::others_write())
		return 0;
	make_wal_segments_ahead();
	return static_cast<int64>(safe_migrate::settings::wal_flush_after) * 1024;
}

// The body of one batch: rows, then bookkeeping, in one transaction.
Outcome batch_body(Work *work, BatchResult *result)
{
	StepContext *context = work->context;
	int64 wal_piece = begin_wal(); // before anything is locked
	if (!claim_slice(context->job_id, context->step_no, work->slice.slice_no))
		return Outcome::lost; // an abort lost it, and another worker has it
	// locked first, and the root before it as in an UPDATE: a detachment either sees us or is seen
	LockRelationOid(work->definition->relation, AccessShareLock);
	LockRelationOid(work->slice.relation, RowExclusiveLock);
	if (!is_part_of(work->slice.relation, work->definition->relation) &&
		get_rel_name(work->slice.relation) != nullptr) {
		leave_leaf(work);
		return Outcome::changed;
	}
	if (TransactionIdIsValid(work->stuck_xid) && pg::is_past_horizon(work->stuck_xid))
		work->stuck_xid = InvalidTransactionId;
	BatchLimits limits = {work->target.us(),
						  !TransactionIdIsValid(work->stuck_xid),
						  batch_lock_timeout_ms,
						  wal_piece,
						  comparable(work->slice.begun),
						  work->own->pass > 0 ? work->own : nullptr};
	if (!work->definition->fire_triggers)
		check_may_disable_triggers();
	*result = run_batch(work->runner, limits);
	if (result->end == BatchEnd::relation_changed) {
		change_slices(work, [&] {
			cut_leaf_again(context->job_id, context->step_no, work->slice.relation,
						   context->workers);
		});
		return Outcome::changed;
	}
	add(&work->unsaved, result->totals);
	keep_own(work, result->totals);
	keep_sample(work, *result);
	bool finished = result->end == BatchEnd::finished;
	TimestampTz now = GetCurrentTimestamp();
	if (finished || now - work->saved_at >= save_every_us) {
		if (!save(work, finished ? work->slice.end_block : result->cursor, finished))
			return Outcome::lost;
		work->saved_at = now;
		work->unsaved = BatchTotals{};
		work->own_saved = true;
	}
	if (finished)
		return Outcome::finished;
	return result->end == BatchEnd::wait_horizon ? Outcome::wait : Outcome::more;
}

int64 batch_time_us(const StepContext *context)
{
	return static_cast<int64>(context->settings.batch_time) * 1000;
}

void report(Work *work, const BatchResult &result)
{
	work->context->report({result.totals.rows_written, result.totals.rows_matched,
						   work->progress.advance(result.reached), 0});
}

// Every open page waits for snapshots that may still see what the last batch replaced: soon
// over with short transactions; after horizon_patience it goes on without page filling.
void wait_for_horizon(Work *work, TransactionId xid)
{
	StepContext *context = work->context;
	TimestampTz now = GetCurrentTimestamp();
	if (work->waiting_since == 0) {
		work->waiting_since = now;
		work->horizon_noted = false;
	}
	int64 waited_ms = (now - work->waiting_since) / 1000;
	if (waited_ms > 500) {
		throttle::HorizonHolder holder;
		throttle::find_horizon_holder(xid, &holder);
		if (holder.kind == throttle::HolderKind::prepared_transaction)
			throttle::name_prepared_holder(holder.xmin, holder.name);
		char detail[sizeof holder.name + 40];
		snprintf(detail, sizeof detail, "%s holds back the xmin horizon",
				 holder.kind == throttle::HolderKind::none ? "an old snapshot" : holder.name);
		(void)context->set_condition(Condition::horizon, detail, holder.pid);
		if (!work->horizon_noted && waited_ms > 5000) {
			context->note_event("waiting for old snapshots", detail);
			work->horizon_noted = true;
		}
		if (waited_ms > context->settings.horizon_patience) {
			work->stuck_xid = xid;
			work->waiting_since = 0;
			context->note_event("notice",
								psprintf("%s: goes on without page filling, so the table and "
										 "its indexes grow more",
										 detail));
			return;
		}
	}
	context->wait_ms(waited_ms < 50 ? 2 : waited_ms < 1000 ? 10 : 100);
}

void check_work(void *arg)
{
	auto *work = static_cast<Work *>(arg);
	if (!work->definition->fire_triggers)
		check_may_disable_triggers();
	check(work->runner);
}

// Batches until the slice is finished or something else ends it. False = told to stop.
bool run_batches(Work *work)
{
	StepContext *context = work->context;
	for (;;) {
		if (context->next_batch(true) == Go::stop)
			return false;
		BatchResult result = {};
		Outcome outcome = Outcome::lost;
		BatchTotals unsaved_before = work->unsaved;
		const int n_once = list_length(work->once);
		const int n_again = list_length(work->again);
		Batch batch =
			context->run_batch([&] { outcome = batch_body(work, &result); },
							   {batch_lock_timeout_ms, true, !work->definition->fire_triggers});
		if (batch != Batch::committed) {
			batch_aborted(work->runner);
			work->unsaved = unsaved_before;
			work->once = list_truncate(work->once, n_once);
			work->again = list_truncate(work->again, n_again);
			work->own_saved = false;
			work->target.shrink();
			if (batch == Batch::stop)
				return false;
			continue;
		}
		batch_committed(work->runner);
		if (work->own_saved)
			forget_saved(work);
		work->over = outcome != Outcome::more && outcome != Outcome::wait;
		if (outcome == Outcome::changed)
			context->report(work->change);
		if (outcome == Outcome::changed || outcome == Outcome::lost)
			return true;
		work->cursor = result.cursor;
		report(work, result);
		work->target.grow(batch_time_us(context));
		if (outcome == Outcome::finished)
			return true;
		if (outcome == Outcome::wait)
			wait_for_horizon(work, result.horizon_xid);
		else
			work->waiting_since = 0;
	}
}

// Claims the slice and reads it as it is now; false when it is not to be had.
Batch take(Work *work, bool *mine)
{
	StepContext *context = work->context;
	*mine = false;
	return context->run_batch(
		[&] {
			if (!claim_slice(context->job_id, context->step_no, work->slice.slice_no))
				return;
			*mine = reload_slice(context->job_id, context->step_no, &work->slice);
			if (!*mine)
				release_slice(context->job_id, context->step_no, work->slice.slice_no);
			else if (writes_may_return(*work) && work->slice.pass > 1 &&
					 work->own->pass != work->slice.pass)
				load_own_writes(context->job_id, context->step_no, work->slice.pass, work->own);
		},
		{1000, true, false});
}

// Saves what is not saved yet where it was told to stop in the middle, and gives up the claim.
void let_go(Work *work, bool stopped)
{
	StepContext *context = work->context;
	ErrorData *failure = context->failure;		// stays the reason
	if (!stopped || context->worker_number > 0) // else the job as a whole stands as it is
		context->report({0, 0, work->progress.give_up(work->cursor), 0});
	(void)context->run_batch(
		[&] {
			if (!claim_slice(context->job_id, context->step_no, work->slice.slice_no))
				return;
			if (!work->over)
				(void)save(work, work->cursor, false);
			release_slice(context->job_id, context->step_no, work->slice.slice_no);
		},
		{batch_lock_timeout_ms, true, false});
	if (failure)
		context->failure = failure;
}

} // namespace

bool work_on_slice(StepContext *context, const Definition &definition, Slice slice, OwnWrites *own)
{
	Work work = {};
	work.context = context;
	work.definition = &definition;
	work.slice = slice;
	work.own = own;
	work.target = BatchTarget(batch_time_us(context));
	bool mine;
	if (context->next_batch(false) == Go::stop)
		return false;
	Batch taken = take(&work, &mine);
	if (taken == Batch::stop)
		return false;
	if (taken == Batch::again || !mine)
		return true;

	MemoryContext memory =
		AllocSetContextCreate(context->memory, "safe_migrate slice", ALLOCSET_DEFAULT_SIZES);
	work.runner = create(memory, definition, work.slice.relation, work.slice.cursor_block,
						 work.slice.end_block, work.slice.relfilenumber);
	work.cursor = work.slice.cursor_block;
	work.progress = {work.cursor};
	work.saved_at = GetCurrentTimestamp();
	context->check_work = check_work;
	context->work = &work;
	bool go_on = run_batches(&work);
	context->check_work = nullptr;
	destroy(work.runner);
	MemoryContextDelete(memory);
	let_go(&work, !go_on);
	return go_on;
}

} // namespace safe_migrate::operations::backfill
