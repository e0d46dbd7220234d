// The batch loop: pages that may be visited again first, then new ones, until the time is
// up; index entries last.
#include "operations/backfill/slice_runner.hpp"
#include "operations/backfill/index_upkeep.hpp"
#include "operations/backfill/slice_state.hpp"
#include "operations/backfill/wal_pieces.hpp"
#include "operations/backfill/write_path.hpp"
#include "pg/compat_executor.hpp"
#include "pg/guc.hpp"
#include "pg/horizon.hpp"

extern "C" {
#include "access/relation.h"
#include "access/xact.h"
#include "catalog/pg_am_d.h"
#include "catalog/pg_class.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
}

namespace safe_migrate::operations::backfill {
namespace {

constexpr int max_open_pages = 16384;
constexpr int few_pages = 16;
constexpr int first_executor_rows = 16; // of a batch, in one statement

// Pages are to stay in shared buffers until their last visit.
int window_capacity() { return Max(16, Min(max_open_pages, NBuffers / 4)); }

bool is_same_leaf(const SliceRunner &runner, Relation leaf)
{
	return leaf->rd_rel->relkind == RELKIND_RELATION &&
		   leaf->rd_rel->relfilenode == runner.relfilenumber;
}

void check_leaf(Relation leaf)
{
	if (leaf->rd_rel->relam != HEAP_TABLE_AM_OID || RELATION_IS_OTHER_TEMP(leaf))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("\"%s\" is not a heap table of this session",
							   RelationGetRelationName(leaf))));
}

bool may_visit(const OpenPage &page, const Batch &batch, GlobalVisState *horizon)
{
	if (!TransactionIdIsValid(page.xid) || !batch.fill)
		return true;
	return !TransactionIdIsCurrentTransactionId(page.xid) && pg::is_removable(horizon, page.xid);
}

// The next page to work on; false when all open ones have to wait.
bool take_page(Batch &batch, BlockNumber end, GlobalVisState *horizon, OpenPage *page)
{
	SliceRunner &runner = batch.runner;

	if (!runner.window.is_empty() && may_visit(runner.window.front(), batch, horizon)) {
		*page = runner.window.pop();
		return true;
	}
	if (runner.next_block >= end || runner.window.is_full())
		return false;
	*page = {runner.next_block++, FirstOffsetNumber, InvalidOffsetNumber, InvalidTransactionId};
	return true;
}

// A page whose rows were written is looked at again when nobody sees their old versions.
void work_on(Batch &batch, OpenPage page)
{
	if (!visit_page(batch, page)) {
		if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
			page.xid = GetTopTransactionIdIfAny();
		batch.runner.window.push(page);
	}
	if (!batch.direct && is_full(batch.executor))
		flush_rows(batch);
}

// Nothing to do but wait for the horizon: has it moved unnoticed?
bool horizon_has_moved(const Batch &batch, GlobalVisState *horizon)
{
	const PageWindow &window = batch.runner.window;

	return batch.result.totals.pages_visited == 0 && !window.is_empty() &&
		   pg::is_removable_after_refresh(batch.leaf, horizon, window.front().xid);
}

void work(Batch &batch, BlockNumber end)
{
	GlobalVisState *horizon = GlobalVisTestFor(batch.leaf);
	OpenPage page;

	while (!is_due(batch)) {
		CHECK_FOR_INTERRUPTS();
		if (!take_page(batch, end, horizon, &page)) {
			if (!horizon_has_moved(batch, horizon))
				break;
			page = batch.runner.window.pop();
		}
		if (page.block < end) // else truncated by a vacuum
			work_on(batch, page);
		flush_wal_piece();
	}
	flush_rows(batch);
}

void flush_indexes(Batch &batch)
{
	SliceRunner &runner = batch.runner;
	int64 entries = batch.writer.indexes.pending;

	if (entries == 0)
		return;
	int64 before = batch.clock.elapsed_us();
	ItemPointerSetInvalid(&batch.row);
	flush(batch.writer);
	double each = static_cast<double>(batch.clock.elapsed_us() - before) / entries;
	runner.us_per_index_entry += 0.2 * (each - runner.us_per_index_entry);
}

void conclude(Batch &batch, BlockNumber end)
{
	SliceRunner &runner = batch.runner;
	BatchResult &result = batch.result;

	if (runner.window.is_empty() && runner.next_block >= end)
		result.end = BatchEnd::finished;
	else if (result.totals.pages_visited == 0 && !is_due(batch)) {
		result.end = BatchEnd::wait_horizon;
		result.horizon_xid = runner.window.front().xid;
	} else
		result.end = BatchEnd::more;
	result.cursor = runner.window.first_block(Min(runner.next_block, runner.end_block));
	if (result.end == BatchEnd::finished)
		result.cursor = runner.end_block;
	result.reached = runner.end_block;
	if (result.end != BatchEnd::finished) {
		double reached = Min(runner.next_block, runner.end_block) - runner.window.left();
		result.reached =
			reached > result.cursor ? static_cast<BlockNumber>(reached) : result.cursor;
	}
	runner.batch_cursor = result.cursor;
}

// What statements of the batch may wait for is bounded, and who asked for it may have triggers
// not fire; the caller knows that they may.
void set_limits(const Batch &batch, const BatchLimits &limits)
{
	pg::set_in_level_ms("lock_timeout", limits.lock_timeout_ms);
	if (!batch.definition.fire_triggers)
		pg::set_in_level("session_replication_role", "replica", PGC_SUSET);
}

// What a row takes, triggers and all, is known after the first one.
int rows_to_begin_with(const Batch &batch)
{
	double each = batch.runner.us_per_executor_row;
	if (each <= 0)
		return 1;
	double rows = static_cast<double>(batch.clock.target_us) / each;
	return Max(1, static_cast<int>(Min(rows, first_executor_rows)));
}

void write_by_executor(Batch &batch, BlockNumber end)
{
	SliceRunner &runner = batch.runner;

	prepare_write(runner.query, batch.definition, batch.leaf);
	begin(batch.executor, batch.leaf, runner.query, batch.definition.action == RowAction::erase,
		  rows_to_begin_with(batch), runner.was_aborted);
	work(batch, end);
	finish(batch.executor);
}

void write_directly(Batch &batch, BlockNumber end)
{
	// where functions look at rows just written, they find them by their indexes as always
	begin(batch.writer, batch.leaf, batch.runner.query.columns,
		  !batch.runner.query.reads_own_changes);
	work(batch, end);
	flush_indexes(batch);
	finish(batch.writer);
}

// Many short rounds over the last few pages, or over a small table, take longer than they
// save.
bool is_worth_filling(const Batch &batch, BlockNumber end)
{
	const SliceRunner &runner = batch.runner;
	int64 to_come = static_cast<int64>(end) - runner.next_block;

	return Max(to_come, 0) + runner.window.count() > few_pages &&
		   batch.definition.action == RowAction::update &&
		   hot_is_possible(runner.query.columns, batch.leaf);
}

void run(Batch &batch, const BatchLimits &limits)
{
	SliceRunner &runner = batch.runner;
	BlockNumber end = Min(runner.end_block, RelationGetNumberOfBlocks(batch.leaf));

	prepare(runner.query, runner.context, batch.definition, batch.leaf);
	batch.direct = can_write_directly(batch.definition, runner.query.columns, batch.leaf);
	batch.fill = limits.page_filling && is_worth_filling(batch, end);
	if (batch.definition.action == RowAction::update) {
		batch.move_cost = cost_of_move(batch.leaf);
		empty_pending_lists(batch.leaf);
	}
	int level = NewGUCNestLevel();
	set_limits(batch, limits);
	start(runner.query);
	if (batch.direct)
		write_directly(batch, end);
	else
		write_by_executor(batch, end);
	finish(runner.query);
	AtEOXact_GUC(true, level);
	conclude(batch, end);
}

} // namespace

// What is put off to the end counts from the row on.
bool is_due(const Batch &batch)
{
	double owed = batch.direct ? batch.writer.indexes.pending * batch.runner.us_per_index_entry
							   : batch.executor.n_queued * batch.runner.us_per_executor_row;

	return batch.clock.elapsed_us() + owed >= batch.clock.target_us;
}

SliceRunner *create(MemoryContext context, const Definition &definition, Oid leaf,
					BlockNumber first_block, BlockNumber end_block, Oid relfilenumber)
{
	MemoryContext own = AllocSetContextCreate(context, "backfill slice", ALLOCSET_DEFAULT_SIZES);
	auto *runner = static_cast<SliceRunner *>(MemoryContextAllocZero(own, sizeof(SliceRunner)));

	runner->context = own;
	runner->batch_context = AllocSetContextCreate(own, "backfill batch", ALLOCSET_DEFAULT_SIZES);
	runner->definition = &definition;
	runner->leaf = leaf;
	runner->relfilenumber = relfilenumber;
	runner->first_block = first_block;
	runner->end_block = end_block;
	runner->next_block = runner->committed_cursor = runner->batch_cursor = first_block;
	runner->matching_share = 1;
	runner->growth = 0.1;
	runner->us_per_index_entry = 3; // a guess until the first flush
	runner->window.allocate(own, window_capacity());
	return runner;
}

BatchResult run_batch(SliceRunner *runner, const BatchLimits &limits)
{
	Batch batch = {*runner, nullptr, *runner->definition, true, {}, {}, {}, {}, 0, false};

	batch.old_before = limits.old_before;
	batch.own = limits.own;
	batch.leaf = try_relation_open(runner->leaf, RowExclusiveLock);
	if (batch.leaf == nullptr || !is_same_leaf(*runner, batch.leaf)) {
		if (batch.leaf)
			relation_close(batch.leaf, NoLock);
		batch.result.end = BatchEnd::relation_changed;
		batch.result.cursor = runner->committed_cursor;
		return batch.result;
	}
	check_leaf(batch.leaf);
	begin_wal_pieces(limits.wal_piece);
	batch.clock.start(limits.target_us); // waiting for the table is not the batch's work
	MemoryContextReset(runner->batch_context);
	MemoryContext caller = MemoryContextSwitchTo(runner->batch_context);
	PushActiveSnapshot(GetTransactionSnapshot());
	ItemPointerSetInvalid(&batch.row);
	ErrorContextCallback context = {error_context_stack, describe_row, &batch};
	error_context_stack = &context;
	run(batch, limits);
	error_context_stack = context.previous;
	PopActiveSnapshot();
	MemoryContextSwitchTo(caller);
	relation_close(batch.leaf, NoLock);
	return batch.result;
}

void check(SliceRunner *runner)
{
	const Definition &definition = *runner->definition;

	if (!ConditionalLockRelationOid(definition.relation, AccessShareLock) ||
		!ConditionalLockRelationOid(runner->leaf, RowExclusiveLock))
		return;
	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(definition.relation)))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("the job's table does not exist any more")));
	Relation leaf = try_relation_open(runner->leaf, NoLock);
	if (leaf == nullptr)
		return;
	if (is_same_leaf(*runner, leaf)) {
		check_leaf(leaf);
		MemoryContextReset(runner->batch_context);
		MemoryContext caller = MemoryContextSwitchTo(runner->batch_context);
		prepare(runner->query, runner->context, definition, leaf);
		start(runner->query);
		finish(runner->query);
		MemoryContextSwitchTo(caller);
	}
	relation_close(leaf, NoLock);
}

void batch_committed(SliceRunner *runner) { runner->committed_cursor = runner->batch_cursor; }

// What the batch did to open pages is undone: begin again behind what is committed.  The
// predicate makes looking twice safe.
void batch_aborted(SliceRunner *runner)
{
	runner->was_aborted = true;
	runner->window.clear();
	runner->next_block = runner->batch_cursor = runner->committed_cursor;
	runner->query.running = nullptr;
}

void destroy(SliceRunner *runner) { MemoryContextDelete(runner->context); }

} // namespace safe_migrate::operations::backfill
