// One row at a time: constraints, heap update that does not wait, index entries.  Follows
// ExecUpdateAct() and ExecUpdateEpilogue() where there are no triggers.
#include "operations/backfill/direct_writer.hpp"
#include "pg/compat_executor.hpp"

extern "C" {
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/multixact.h"
#include "access/xact.h"
#include "storage/bufmgr.h"
#include "storage/procarray.h"
#include "utils/snapmgr.h"
}

namespace safe_migrate::operations::backfill {
namespace {

// The row is not written: others hold it, or have changed it.
void check_skipped(TM_Result result)
{
	switch (result) {
		case TM_Updated:
		case TM_Deleted:
		case TM_BeingModified:
		case TM_WouldBlock:
		case TM_SelfModified:
			return;
		default:
			elog(ERROR, "unexpected result %d of a row change", static_cast<int>(result));
	}
}

TM_Result try_update(DirectWriter &writer, ItemPointerData tid, bool wait,
					 pg::UpdateIndexes *update)
{
	TM_FailureData failure;
	LockTupleMode mode;
	TM_Result result = pg::update_tuple(writer.leaf, &tid, writer.slot, writer.lock.command, wait,
										&failure, &mode, update);

	refuse_changed(writer.lock, result, failure);
	return result;
}

TM_Result try_delete(DirectWriter &writer, ItemPointerData tid, bool wait)
{
	TM_FailureData failure;
	TM_Result result = pg::delete_tuple(writer.leaf, &tid, writer.lock.command, wait, &failure);

	refuse_changed(writer.lock, result, failure);
	return result;
}

// Index entries of a version that is not heap-only; runs in per-tuple memory.
Written index_version(DirectWriter &writer, pg::UpdateIndexes update)
{
	switch (pg::new_entries(update)) {
		case pg::NewEntries::none:
			return Written::hot;
		case pg::NewEntries::summarizing:
			add_entries(writer.indexes, writer.slot, true);
			return Written::hot;
		default:
			add_entries(writer.indexes, writer.slot, false);
			return Written::moved;
	}
}

void check_version(DirectWriter &writer)
{
	if (writer.leaf->rd_rel->relispartition)
		ExecPartitionCheck(writer.result, writer.slot, writer.estate, true);
	if (writer.check_constraints)
		ExecConstraints(writer.result, writer.slot, writer.estate);
}

TransactionId first_running_member(MultiXactId multi)
{
	MultiXactMember *members;
	int n = GetMultiXactIdMembers(multi, &members, false, false);

	for (int i = 0; i < n; i++)
		if (TransactionIdIsInProgress(members[i].xid))
			return members[i].xid;
	return InvalidTransactionId;
}

} // namespace

// A look without a lock that lasts: it may be wrong a moment later.
TransactionId holder_of_row(Relation leaf, const ItemPointerData &tid)
{
	Buffer buffer = ReadBuffer(leaf, ItemPointerGetBlockNumber(&tid));
	TransactionId xmax = InvalidTransactionId;
	bool is_multi = false;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	ItemId item = PageGetItemId(BufferGetPage(buffer), ItemPointerGetOffsetNumber(&tid));
	if (ItemIdIsNormal(item)) {
		auto *tuple = reinterpret_cast<HeapTupleHeader>(PageGetItem(BufferGetPage(buffer), item));
		xmax = HeapTupleHeaderGetRawXmax(tuple);
		is_multi = (tuple->t_infomask & HEAP_XMAX_IS_MULTI) != 0;
	}
	UnlockReleaseBuffer(buffer);
	return is_multi ? first_running_member(xmax) : xmax;
}

void begin(DirectWriter &writer, Relation leaf, const LeafColumns &columns, bool defer_entries)
{
	bool erase = columns.assigned_set == nullptr;

	writer = {};
	writer.leaf = leaf;
	begin(writer.lock, leaf, columns, erase, false);
	CheckCmdReplicaIdentity(leaf, erase ? CMD_DELETE : CMD_UPDATE);
	if (erase)
		return;
	writer.estate = CreateExecutorState();
	writer.result = makeNode(ResultRelInfo);
	InitResultRelInfo(writer.result, leaf, 0, nullptr, 0);
	ExecOpenIndices(writer.result, false);
	writer.slot = MakeSingleTupleTableSlot(RelationGetDescr(leaf), &TTSOpsHeapTuple);
	writer.check_constraints = RelationGetDescr(leaf)->constr != nullptr;
	begin(writer.indexes, writer.result, writer.estate, columns.changed_set, defer_entries);
}

Written update_row(DirectWriter &writer, const ItemPointerData &tid, HeapTuple version)
{
	pg::UpdateIndexes update = pg::no_update_indexes;
	Written written = Written::skipped;

	ResetPerTupleExprContext(writer.estate);
	ExecForceStoreHeapTuple(version, writer.slot, true);
	writer.slot->tts_tableOid = RelationGetRelid(writer.leaf);
	MemoryContext caller =
		MemoryContextSwitchTo(GetPerTupleExprContext(writer.estate)->ecxt_per_tuple_memory);
	check_version(writer);
	TM_Result result =
		pg::update_must_hold_lock ? TM_BeingModified : try_update(writer, tid, false, &update);
	// What still holds the row once we have a lock does not conflict: this does not wait either.
	if (result == TM_BeingModified && lock_row(writer.lock, tid))
		result = try_update(writer, tid, true, &update);
	if (result == TM_Ok)
		written = index_version(writer, update);
	else
		check_skipped(result);
	MemoryContextSwitchTo(caller);
	ExecClearTuple(writer.slot);
	return written;
}

Written erase_row(DirectWriter &writer, const ItemPointerData &tid)
{
	TM_Result result = try_delete(writer, tid, false);

	if (result == TM_BeingModified && lock_row(writer.lock, tid))
		result = try_delete(writer, tid, true);
	if (result == TM_Ok)
		return Written::erased;
	check_skipped(result);
	return Written::skipped;
}

void flush(DirectWriter &writer)
{
	if (writer.indexes.pending > 0)
		flush(writer.indexes);
}

void finish(DirectWriter &writer)
{
	finish(writer.lock);
	if (writer.estate == nullptr)
		return;
	ExecCloseIndices(writer.result);
	ExecDropSingleTupleTableSlot(writer.slot);
	FreeExecutorState(writer.estate);
}

} // namespace safe_migrate::operations::backfill
