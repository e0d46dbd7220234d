// A query tree run in the caller's transaction.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "nodes/parsenodes.h"
#include "tcop/dest.h"
}

namespace safe_migrate::pg {

struct RowCounts {
	int64 found;   // rows that the scan handed to the write; 0 for a SELECT
	int64 written; // rows processed; for a SELECT those returned
};

// Rewrites, plans and runs it under a new snapshot, as _SPI_execute_plan() does for a statement
// that writes; the tree is used up.  Rows go to `receiver`.
RowCounts run_query(Query *query, DestReceiver *receiver);

// A receiver whose callback is `receive`; the others do nothing.
DestReceiver plain_receiver(bool (*receive)(TupleTableSlot *slot, DestReceiver *self));

} // namespace safe_migrate::pg
