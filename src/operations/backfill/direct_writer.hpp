// Writes rows straight through the table access method, where nothing but constraints
// and indexes has a say in an UPDATE or DELETE of the table: no trigger that would fire,
// no exclusion or deferrable unique constraint.  Never waits for a row.
#pragma once
#include "operations/backfill/index_batch.hpp"
#include "operations/backfill/row_lock.hpp"
#include "operations/backfill/row_query.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "access/htup.h"
#include "access/tableam.h"
}

namespace safe_migrate::operations::backfill {

enum class Written : uint8_t { hot, moved, erased, skipped };

struct DirectWriter {
	Relation leaf;
	EState *estate;
	ResultRelInfo *result;
	TupleTableSlot *slot; // new versions
	RowLock lock;
	bool check_constraints;
	IndexBatch indexes;
};

void begin(DirectWriter &writer, Relation leaf, const LeafColumns &columns, bool defer_entries);
// Frees `version`.
Written update_row(DirectWriter &writer, const ItemPointerData &tid, HeapTuple version);
Written erase_row(DirectWriter &writer, const ItemPointerData &tid);
// Who holds or changed a row that was skipped; InvalidTransactionId when gone already.
TransactionId holder_of_row(Relation leaf, const ItemPointerData &tid);
// Inserts the index entries that are due.
void flush(DirectWriter &writer);
void finish(DirectWriter &writer);

} // namespace safe_migrate::operations::backfill
