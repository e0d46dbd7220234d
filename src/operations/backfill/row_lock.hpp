// Locks of single rows, as strong as the change needs them, and never waited for.
#pragma once
#include "operations/backfill/leaf_columns.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "executor/tuptable.h"
#include "nodes/lockoptions.h"
#include "storage/itemptr.h"
}

namespace safe_migrate::operations::backfill {

struct RowLock {
	Relation leaf;
	LockTupleMode mode;
	TupleTableSlot *slot; // what locking a row brings; not looked at
};

// FOR UPDATE where the row goes or a key column may change, else FOR NO KEY UPDATE: as
// heap_update() chooses.  any_column: a trigger may change more than what is assigned.
LockTupleMode lock_mode(Relation leaf, const LeafColumns &columns, bool erase, bool any_column);

void begin(RowLock &lock, Relation leaf, const LeafColumns &columns, bool erase, bool any_column);

// False where somebody else holds the row, or has changed it.  What does not conflict is no
// obstacle: KEY SHARE of a foreign key's check, while other columns are changed.
bool lock_row(const RowLock &lock, const ItemPointerData &tid);

void finish(RowLock &lock);

} // namespace safe_migrate::operations::backfill
