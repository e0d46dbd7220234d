// Writes rows through the server's executor, for tables where triggers, deferrable or
// exclusion constraints have a say.  Rows are locked without waiting when they are queued
// and written a few pages at a time by one planned UPDATE (or DELETE) by row id.
#pragma once
#include "operations/backfill/row_lock.hpp"
#include "operations/backfill/row_query.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "access/tableam.h"
#include "storage/itemptr.h"
}

namespace safe_migrate::operations::backfill {

struct ExecutorWriter {
	Relation leaf;
	RowQuery *query;
	bool erase;
	RowLock lock;
	bool look_again;		 // AFTER triggers may change what was written
	ItemPointerData *queued; // locked, to be written
	int n_queued;
	TupleDesc values_desc; // of their assigned columns; nullptr: the statement computes them
	MemoryContext values_context;
	Datum *values;			  // a record a row
	ItemPointerData *written; // of one flush: the new versions' places
	int n_written;
	int n_moved;			  // by a trigger to other partitions, beside those: for a later pass
	int limit;				  // rows in one statement; doubles from flush to flush
	bool settles;			  // deferred triggers may change it, too, when all is written
	ItemPointerData *settled; // then: the new versions' places of all flushes
	int n_settled;
};

struct Flushed {
	int64 written, hot, kept;
};

// first: rows in the first statement.  keys_too: where triggers may change a row before it is
// written, rows whose key others look at are passed over, too.
void begin(ExecutorWriter &writer, Relation leaf, RowQuery &query, bool erase, int first,
		   bool keys_too);
// Locks the row and queues it; false when somebody else holds or has changed it.
bool queue_row(ExecutorWriter &writer, const RowCandidate &row);
bool is_full(const ExecutorWriter &writer);
// Writes what is queued. Errors: whatever triggers and constraints raise; 27000 when a
// trigger made a written row match the predicate again.
Flushed flush(ExecutorWriter &writer);
// Deferred triggers are fired, as the commit would; errors as flush()'s.
void finish(ExecutorWriter &writer);

// May a trigger change rows of the table after an UPDATE has written them?
bool has_after_triggers(Relation leaf);

} // namespace safe_migrate::operations::backfill
