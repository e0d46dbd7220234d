// A query tree run in the caller's transaction.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "nodes/parsenodes.h"
#include "tcop/dest.h"
}

namespace safe_migrate::operations::backfill {

// Rewrites, plans and runs it under a new snapshot, as _SPI_execute_plan() does for a statement
// that writes; the tree is used up.  Returns the number of rows processed.  Rows go to `receiver`.
int64 run_query(Query *query, DestReceiver *receiver);

// A receiver whose callback is `receive`; the others do nothing.
DestReceiver plain_receiver(bool (*receive)(TupleTableSlot *slot, DestReceiver *self));

} // namespace safe_migrate::operations::backfill
