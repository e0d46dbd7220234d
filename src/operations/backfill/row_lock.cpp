// See row_lock.hpp.
#include "operations/backfill/row_lock.hpp"

extern "C" {
#include "access/tableam.h"
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
	lock.mode = lock_mode(leaf, columns, erase, any_column);
	lock.slot = table_slot_create(leaf, nullptr);
}

bool lock_row(const RowLock &lock, const ItemPointerData &tid)
{
	TM_FailureData failure;
	ItemPointerData copy = tid;
	TM_Result result =
		table_tuple_lock(lock.leaf, &copy, GetActiveSnapshot(), lock.slot,
						 GetCurrentCommandId(true), lock.mode, LockWaitSkip, 0, &failure);
	ExecClearTuple(lock.slot);
	return result == TM_Ok;
}

void finish(RowLock &lock) { ExecDropSingleTupleTableSlot(lock.slot); }

} // namespace safe_migrate::operations::backfill
