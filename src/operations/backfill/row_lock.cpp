// See row_lock.hpp.
#include "operations/backfill/row_lock.hpp"

extern "C" {
#include "access/xact.h"
#include "utils/snapmgr.h"
}

namespace safe_migrate::operations::backfill {

LockTupleMode lock_mode(Relation leaf, const LeafColumns &columns, bool erase, bool any_column)
{
	Bitmapset *key_columns = RelationGetIndexAttrBitmap(leaf, INDEX_ATTR_BITMAP_KEY);
	bool key_changes =
		bms_overlap(key_columns, columns.changed_set) || (any_column && !bms_is_empty(key_columns));
	return erase || key_changes ? LockTupleExclusive : LockTupleNoKeyExclusive;
}

void begin(RowLock &lock, Relation leaf, const LeafColumns &columns, bool erase, bool any_column)
{
	lock.leaf = leaf;
	lock.erase = erase;
	lock.mode = lock_mode(leaf, columns, erase, any_column);
	lock.slot = table_slot_create(leaf, nullptr);
	begin_command(lock);
}

void begin_command(RowLock &lock)
{
	CommandCounterIncrement();
	lock.command = GetCurrentCommandId(true);
}

void refuse_changed(const RowLock &lock, TM_Result result, const TM_FailureData &failure)
{
	if (result != TM_SelfModified || failure.cmax == lock.command)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
			 errmsg("tuple to be %s was already modified by an operation triggered by the current "
					"command",
					lock.erase ? "deleted" : "updated"),
			 errhint("A function that the assignments or the predicate call changes rows of the "
					 "table itself: do that in a job of its own.")));
}

bool lock_row(const RowLock &lock, const ItemPointerData &tid)
{
	TM_FailureData failure;
	ItemPointerData copy = tid;
	TM_Result result = table_tuple_lock(lock.leaf, &copy, GetActiveSnapshot(), lock.slot,
										lock.command, lock.mode, LockWaitSkip, 0, &failure);
	ExecClearTuple(lock.slot);
	refuse_changed(lock, result, failure);
	return result == TM_Ok;
}

void finish(RowLock &lock) { ExecDropSingleTupleTableSlot(lock.slot); }

} // namespace safe_migrate::operations::backfill
