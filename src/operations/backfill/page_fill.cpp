// One visit of a page: prune it, then write as many of its matching rows as its room
// holds.  A full page first moves out some rows to get going: what they leave behind is
// the room of the next visit.
#include "operations/backfill/slice_state.hpp"
#include "pg/compat_executor.hpp"

#include <cmath>

extern "C" {
#include "access/heapam.h"
#include "access/heaptoast.h"
#include "access/htup_details.h"
#include "storage/bufmgr.h"
}

namespace safe_migrate::operations::backfill {

namespace {

// How many rows a visit should write whether or not they fit, so that the next one has
// room.  The first visit of a page frees what all its rows will grow by, and a little more:
// room that is there early serves every later visit.  After that only a page that is stuck
// moves more rows out: with m rows to go and k written at each of m / k visits, visits and
// moves together cost least at k = sqrt(m / cost of a move), as a rule of thumb with a factor
// for the room that shrinks from visit to visit.  Measured flat around these values.
double rows_to_free(const Batch &batch, const OpenPage &page)
{
	double rows = (page.last - page.next + 1) * batch.runner.matching_share;
	double stride = rows > 1 ? sqrt(rows / batch.move_cost) : 1;

	if (!TransactionIdIsValid(page.xid))
		return rows * batch.runner.growth + 0.3 * stride;
	return Max(1, floor(Min(0.75 * stride, sqrt(rows))));
}

void learn_growth(SliceRunner &runner, const Page content, const ItemPointerData &tid, Size length)
{
	double old_length =
		MAXALIGN(ItemIdGetLength(PageGetItemId(content, ItemPointerGetOffsetNumber(&tid))));
	double growth = (length + sizeof(ItemIdData) - old_length) / (length + sizeof(ItemIdData));

	runner.growth += 0.01 * (Max(growth, 0) - runner.growth);
}

// The share of line pointers whose rows match, from what was seen so far.
void learn_share(SliceRunner &runner, int line_pointers, int rows)
{
	if (line_pointers > 0)
		runner.matching_share +=
			0.05 * (static_cast<double>(rows) / line_pointers - runner.matching_share);
}

Past past_of(const Batch &batch, const Page content, const ItemPointerData &tid)
{
	if (!TransactionIdIsValid(batch.old_before))
		return {};
	ItemId item = PageGetItemId(content, ItemPointerGetOffsetNumber(&tid));
	auto *header = reinterpret_cast<HeapTupleHeader>(PageGetItem(content, item));
	// the raw one is what it was, also where the row has been frozen since
	const TransactionId xmin = HeapTupleHeaderGetRawXmin(header);
	if (TransactionIdPrecedes(xmin, batch.old_before))
		return {true, false, false};
	const bool frozen = HeapTupleHeaderXminFrozen(header);
	// else inserted, by a trigger
	if (batch.own == nullptr || (header->t_infomask & HEAP_UPDATED) == 0)
		return {frozen, false, false};
	const bool thrice = batch.own->again.has(xmin);
	return {frozen, thrice || batch.own->once.has(xmin), thrice};
}

void note_skipped(Batch &batch, const ItemPointerData &tid)
{
	BatchResult &result = batch.result;

	if (result.totals.rows_locked++ == 0) {
		result.locked_sample = tid;
		result.locked_by = holder_of_row(batch.leaf, tid);
	}
}

void note_unmatched(Batch &batch, const ItemPointerData &tid)
{
	BatchResult &result = batch.result;

	if (result.totals.rows_unmatched++ > 0 || batch.runner.unmatched_reported)
		return;
	MemoryContext caller = MemoryContextSwitchTo(batch.runner.context);
	result.unmatched_sample =
		psprintf("(%u,%u)", ItemPointerGetBlockNumber(&tid), ItemPointerGetOffsetNumber(&tid));
	MemoryContextSwitchTo(caller);
	batch.runner.unmatched_reported = true;
}

void count(Batch &batch, Written written, const ItemPointerData &tid, const Past &past)
{
	BatchTotals &totals = batch.result.totals;

	switch (written) {
		case Written::skipped:
			note_skipped(batch, tid);
			return;
		case Written::hot:
			totals.rows_hot++;
			break;
		case Written::moved:
		case Written::erased:
			break;
	}
	totals.rows_written++;
	totals.rows_old += past.old;
	totals.rows_again += past.again;
	totals.rows_thrice += past.thrice;
}

// A row that goes out of line takes less than its length.
Size stored_length(HeapTuple version)
{
	return MAXALIGN(Min(version->t_len, static_cast<uint32>(TOAST_TUPLE_TARGET)));
}

struct Visit {
	Page content;
	double to_free; // moving rows out is all right until so many have been written
	int rows;
	Size promised; // room of rows that are queued for the executor
};

// The room that is there for the next version of a row; queued ones take theirs later.
bool has_room(const Visit &visit, Size length)
{
	return PageGetHeapFreeSpace(visit.content) >= visit.promised + length;
}

// False when it is skipped.
bool queue(Batch &batch, const Visit &visit, const RowCandidate &row)
{
	const bool queued = queue_row(batch.executor, row);

	if (queued) {
		const Past past = past_of(batch, visit.content, row.tid);
		batch.queued_old += past.old;
		batch.queued_again += past.again;
		batch.queued_thrice += past.thrice;
	} else
		note_skipped(batch, row.tid);
	return queued;
}

void write_row(Batch &batch, Visit &visit, const RowCandidate &row, HeapTuple version, Size length)
{
	if (batch.direct) {
		const Past past = past_of(batch, visit.content, row.tid);
		count(batch, update_row(batch.writer, row.tid, version), row.tid, past);
		return;
	}
	heap_freetuple(version);
	if (queue(batch, visit, row) && has_room(visit, length))
		visit.promised += length + sizeof(ItemIdData);
}

void erase(Batch &batch, const Visit &visit, const RowCandidate &row)
{
	if (batch.direct) {
		const Past past = past_of(batch, visit.content, row.tid);
		count(batch, erase_row(batch.writer, row.tid), row.tid, past);
	} else
		(void)queue(batch, visit, row);
}

// True when the row is done with, false when it is left for a later visit.
bool handle_row(Batch &batch, Visit &visit, const RowCandidate &row)
{
	BatchTotals &totals = batch.result.totals;

	if (!batch.direct && is_full(batch.executor))
		return false;
	if (batch.definition.action == RowAction::erase) {
		totals.rows_matched++;
		erase(batch, visit, row);
		return true;
	}
	if (row.still_matches) {
		totals.rows_matched++;
		note_unmatched(batch, row.tid);
		return true;
	}
	HeapTuple version = heap_form_tuple(RelationGetDescr(batch.leaf), row.values, row.nulls);
	Size length = stored_length(version);
	if (batch.fill && visit.rows >= visit.to_free && !has_room(visit, length)) {
		heap_freetuple(version);
		return false;
	}
	totals.rows_matched++;
	learn_growth(batch.runner, visit.content, row.tid, length);
	write_row(batch, visit, row, version, length);
	return true;
}

// What comes before the first row (sub-selects that run once) holds no row lock: the time
// that clients may have to wait counts from there.
void note_first_row(Batch &batch)
{
	if (batch.clock.elapsed_us() > batch.clock.target_us / 2)
		batch.clock.start(batch.clock.target_us);
}

// Twice the target is the latest; the clock is looked at every few rows, or each one where
// they take long.
bool is_late(Batch &batch)
{
	if (batch.rows_seen > 8 && batch.rows_seen % 8 != 0 && !batch.rows_are_slow)
		return false;
	int64 elapsed = batch.clock.elapsed_us();
	batch.rows_are_slow = elapsed / batch.rows_seen > 500;
	return elapsed >= 2 * batch.clock.target_us || (batch.rows_are_slow && is_due(batch));
}

} // namespace

// Named in the context of errors that a row raises.
void describe_row(void *arg)
{
	const Batch *batch = static_cast<const Batch *>(arg);

	if (!ItemPointerIsValid(&batch->row))
		return;
	errcontext("row (%u,%u) of table \"%s\"", ItemPointerGetBlockNumber(&batch->row),
			   ItemPointerGetOffsetNumber(&batch->row), RelationGetRelationName(batch->leaf));
}

void flush_rows(Batch &batch)
{
	SliceRunner &runner = batch.runner;
	int rows = batch.executor.n_queued;

	if (batch.direct || rows == 0)
		return;
	int64 before = batch.clock.elapsed_us();
	ItemPointerSetInvalid(&batch.row);
	Flushed flushed = flush(batch.executor);
	batch.result.totals.rows_written += flushed.written;
	batch.result.totals.rows_hot += flushed.hot;
	batch.result.totals.rows_kept += flushed.kept;
	// which were kept isn't known: at least so many old ones were written
	batch.result.totals.rows_old += Max(batch.queued_old - flushed.kept, 0);
	batch.result.totals.rows_again += Max(batch.queued_again - flushed.kept, 0);
	batch.result.totals.rows_thrice += Max(batch.queued_thrice - flushed.kept, 0);
	batch.queued_old = batch.queued_again = batch.queued_thrice = 0;
	double each = static_cast<double>(batch.clock.elapsed_us() - before) / rows;
	bool first = runner.us_per_executor_row <= 0;
	runner.us_per_executor_row += (first ? 1 : 0.3) * (each - runner.us_per_executor_row);
}

bool visit_page(Batch &batch, OpenPage &page)
{
	SliceRunner &runner = batch.runner;
	Buffer buffer = ReadBuffer(batch.leaf, page.block);
	Visit visit = {BufferGetPage(buffer), 0, 0, 0};
	OffsetNumber first = page.next;
	RowCandidate row;
	bool finished = true;

	pg::prune_page(batch.leaf, buffer);
	if (page.last == InvalidOffsetNumber) {
		LockBuffer(buffer, BUFFER_LOCK_SHARE);
		page.last = PageGetMaxOffsetNumber(visit.content);
		LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
	}
	batch.result.totals.pages_visited++;
	visit.to_free = rows_to_free(batch, page);
	if (page.next <= page.last) {
		scan_page(runner.query, page.block, page.next, page.last);
		while (finished && next_row(runner.query, &row)) {
			CHECK_FOR_INTERRUPTS();
			if (++batch.rows_seen == 1)
				note_first_row(batch);
			batch.row = row.tid;
			page.next = ItemPointerGetOffsetNumber(&row.tid);
			if (!handle_row(batch, visit, row))
				finished = false;
			else {
				page.next++;
				visit.rows++;
				finished = !is_late(batch);
			}
		}
	}
	ReleaseBuffer(buffer);
	learn_share(runner, (finished ? page.last + 1 : page.next) - first, visit.rows);
	return finished;
}

} // namespace safe_migrate::operations::backfill
