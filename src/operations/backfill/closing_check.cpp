// The closing check: see closing_check.hpp.
//
// Its snapshot holds back the xmin horizon for as long as reading the table takes, so most pages
// are only glanced at: a row whose version was there, committed, before the pass began, and is
// still there, was seen by the pass. What it may have missed has a younger xmin. That says nothing
// where the predicate may change its mind about a row that nobody writes (sub-selects, functions
// that are not immutable): there each row is asked.
#include "operations/backfill/closing_check.hpp"

#include "jobs/store.hpp"
#include "jobs/worker.hpp"
#include "operations/backfill/row_query.hpp"
#include "pg/compat.hpp"
#include "pg/transaction.hpp"

extern "C" {
#include "access/heapam.h"
#include "access/relation.h"
#include "access/transam.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
}

namespace safe_migrate::operations::backfill {

using namespace jobs;

namespace {

constexpr int64 chunk_us = 20'000; // between two looks at who waits for the table, and at control
constexpr uint64 longest_comparable = UINT64CONST(1) << 30; // of the 2^31 that xids can be apart

enum class Look : uint8_t { more, leaf_done, missed };

struct Check {
	StepContext *context;
	const Definition *definition;
	const PassStart *pass;
	int pass_number;
	MemoryContext leaf_memory; // for the query
	BufferAccessStrategy strategy;
	TransactionId seen_before; // invalid = each page is looked into
	TransactionId older_than;  // invalid = rows of any age count
	RowQuery query;			   // of the leaf at hand
	BlockNumber next;		   // in that leaf
	Closing result;
	char *missed;	  // what, for people; nullptr = nothing
	bool called_away; // by control or a reload: begin again
};

// Has the page a row version that the pass may not have seen?
bool is_suspect(const Check &check, Page page)
{
	if (!TransactionIdIsValid(check.seen_before) || !check.query.depends_on_row_only)
		return true;
	OffsetNumber last = PageGetMaxOffsetNumber(page);
	for (OffsetNumber i = FirstOffsetNumber; i <= last; i++) {
		ItemId item = PageGetItemId(page, i);
		if (!ItemIdIsNormal(item))
			continue;
		// the raw one is what it was, also where the row has been frozen since
		auto *header = reinterpret_cast<HeapTupleHeader>(PageGetItem(page, item));
		if (!TransactionIdPrecedes(HeapTupleHeaderGetRawXmin(header), check.seen_before))
			return true;
	}
	return false;
}

bool is_old_enough(const Check &check, Relation leaf, const ItemPointerData &tid)
{
	if (!TransactionIdIsValid(check.older_than))
		return true;
	Buffer buffer = ReadBuffer(leaf, ItemPointerGetBlockNumber(&tid));
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	Page page = BufferGetPage(buffer);
	ItemId item = PageGetItemId(page, ItemPointerGetOffsetNumber(&tid));
	auto *header = reinterpret_cast<HeapTupleHeader>(PageGetItem(page, item));
	bool old = HeapTupleHeaderXminFrozen(header) ||
			   TransactionIdPrecedes(HeapTupleHeaderGetRawXmin(header), check.older_than);
	UnlockReleaseBuffer(buffer);
	return old;
}

// Does a row of the page match?
bool finds_row(Check *check, Relation leaf, BlockNumber block)
{
	Buffer buffer = ReadBufferExtended(leaf, MAIN_FORKNUM, block, RBM_NORMAL, check->strategy);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	Page page = BufferGetPage(buffer);
	OffsetNumber last = PageIsNew(page) ? InvalidOffsetNumber : PageGetMaxOffsetNumber(page);
	bool suspect = last != InvalidOffsetNumber && is_suspect(*check, page);
	UnlockReleaseBuffer(buffer);
	if (!suspect)
		return false;
	RowCandidate row;
	scan_page(check->query, block, FirstOffsetNumber, last);
	do {
		if (!next_row(check->query, &row))
			return false;
	} while (!is_old_enough(*check, leaf, row.tid));
	MemoryContext old = MemoryContextSwitchTo(check->context->memory);
	check->missed =
		psprintf("another pass: row (%u,%u) of table \"%s\" matches, and pass %d has "
				 "not seen it",
				 ItemPointerGetBlockNumber(&row.tid), ItemPointerGetOffsetNumber(&row.tid),
				 RelationGetRelationName(leaf), check->pass_number);
	MemoryContextSwitchTo(old);
	return true;
}

// A part of a leaf, in a subtransaction whose end gives back the locks.
Look look_at_chunk(Check *check, Oid oid)
{
	LockRelationOid(check->definition->relation, AccessShareLock);
	Relation leaf = try_relation_open(oid, AccessShareLock);
	if (!leaf)
		return Look::leaf_done;
	// the snapshot says nothing of rows that ALTER TABLE or TRUNCATE has put into another file
	if (pg::relfilenumber_of(leaf) != file_of(check->pass->leaves, oid)) {
		relation_close(leaf, NoLock);
		return Look::missed;
	}
	prepare(check->query, check->leaf_memory, *check->definition, leaf);
	BlockNumber end = RelationGetNumberOfBlocks(leaf);
	BlockNumber first = check->next;
	TimestampTz until = GetCurrentTimestamp() + chunk_us;
	bool found = false;
	start(check->query);
	while (!found && check->next < end) {
		CHECK_FOR_INTERRUPTS();
		found = finds_row(check, leaf, check->next++);
		if (check->next % 16 == 0 && GetCurrentTimestamp() >= until)
			break;
	}
	finish(check->query);
	relation_close(leaf, NoLock);
	check->context->report({0, 0, static_cast<int64>(check->next) - first, 0});
	if (found)
		return Look::missed;
	return check->next < end ? Look::more : Look::leaf_done;
}

// False = a row was missed, or something calls.
bool look_at_leaf(Check *check, Oid oid)
{
	MemoryContextReset(check->leaf_memory);
	check->query = RowQuery{};
	check->next = 0;
	for (Look look = Look::more; look == Look::more;) {
		pg::run_undone([&] { look = look_at_chunk(check, oid); });
		if (look == Look::missed) {
			check->result = Closing::missed;
			return false;
		}
		check->called_away = look == Look::more && check->context->is_called();
		if (check->called_away)
			return false;
	}
	return true;
}

// Under the snapshot of its batch.
void check_all(Check *check)
{
	Leaves leaves = {};
	check->strategy = GetAccessStrategy(BAS_BULKREAD);
	check->result = Closing::complete;
	check->called_away = false;
	// their locks are given back, too
	pg::run_undone([&] { leaves = find_leaves(check->definition->relation); });
	for (int i = 0; i < leaves.n; i++)
		if (!look_at_leaf(check, leaves.oids[i]))
			break;
	if (check->missed)
		add_event(check->context->job_id, "notice", InvalidOid, check->missed);
}

} // namespace

FullTransactionId oldest_running()
{
	FullTransactionId next = ReadNextFullTransactionId();
	TransactionId oldest = GetActiveSnapshot()->xmin;
	return FullTransactionIdFromU64(U64FromFullTransactionId(next) -
									(XidFromFullTransactionId(next) - oldest));
}

TransactionId comparable(FullTransactionId xid)
{
	if (!FullTransactionIdIsValid(xid) ||
		U64FromFullTransactionId(ReadNextFullTransactionId()) - U64FromFullTransactionId(xid) >
			longest_comparable)
		return InvalidTransactionId;
	return XidFromFullTransactionId(xid);
}

Closing closing_check(StepContext *context, const Definition &definition, const PassStart &pass,
					  int pass_number, FullTransactionId older_than)
{
	Check check = {};
	check.context = context;
	check.definition = &definition;
	check.pass = &pass;
	check.pass_number = pass_number;
	check.leaf_memory =
		AllocSetContextCreate(context->memory, "safe_migrate check", ALLOCSET_DEFAULT_SIZES);
	Batch batch = Batch::again;
	while (batch != Batch::stop && (batch == Batch::again || check.called_away)) {
		if (context->next_batch(false) == Go::stop)
			batch = Batch::stop;
		else {
			check.seen_before = comparable(pass.seen_before);
			check.older_than = comparable(older_than);
			check.missed = nullptr;
			batch = context->run_batch([&] { check_all(&check); }, {1000, true, false});
			worker.last_batch_us = 0; // there is nothing to be nice about
		}
	}
	MemoryContextDelete(check.leaf_memory);
	return batch == Batch::stop ? Closing::stop : check.result;
}

} // namespace safe_migrate::operations::backfill
