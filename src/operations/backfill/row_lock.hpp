// Locks of single rows, as strong as the change needs them, and never waited for.
#pragma once
#include "operations/backfill/leaf_columns.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "access/tableam.h"
#include "executor/tuptable.h"
#include "nodes/lockoptions.h"
#include "storage/itemptr.h"
}

namespace safe_migrate::operations::backfill {

struct RowLock {
	Relation leaf;
	bool erase;
	LockTupleMode mode;
	CommandId command;	  // what this transaction does from this one on is of the expressions
	TupleTableSlot *slot; // what locking a row brings; not looked at
};

// FOR UPDATE where the row goes or a key column may change, else FOR NO KEY UPDATE: as
// heap_update() chooses.  any_column: a trigger may change more than what is assigned.
LockTupleMode lock_mode(Relation leaf, const LeafColumns &columns, bool erase, bool any_column);

void begin(RowLock &lock, Relation leaf, const LeafColumns &columns, bool erase, bool any_column);

// Rows that commands before have changed, as triggers do, may be left for the next pass.
void begin_command(RowLock &lock);

// 27000, as ExecUpdate() and ExecDelete() say, where a function in the expressions has changed the
// row since begin_command(): what was read of it is not true any more.
void refuse_changed(const RowLock &lock, TM_Result result, const TM_FailureData &failure);

// False where somebody else holds the row, or has changed it.  What does not conflict is no
// obstacle: KEY SHARE of a foreign key's check, while other columns are changed.  Errors: those of
// refuse_changed().
bool lock_row(const RowLock &lock, const ItemPointerData &tid);

void finish(RowLock &lock);

} // namespace safe_migrate::operations::backfill
