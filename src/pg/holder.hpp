// Who is in the way: the session, or the prepared transaction, that holds a lock or a row.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "storage/itemptr.h"
#include "storage/lock.h"
}

namespace safe_migrate::pg {

struct Holder {
	int pid; // 0 = nobody, or a prepared transaction
	// "process 42", "prepared transaction "gid" of role "app" since 2026-07-01 12:34:56+00"; "" =
	// nobody (any more)
	char name[360];
};

// All of these need a transaction.
Holder holder_of_transaction(TransactionId xid);
// Of a lock on one of the relations that conflicts with that mode; sessions come first.
Holder holder_of_relations(const Oid *relations, int n, LOCKMODE mode);
Holder holder_of_lock(const LOCKTAG &tag, LOCKMODE mode);

// "ctid (12,3) of table "orders_2026", by pid 42 (transaction 4711)" for whoever reads the job's
// error; palloc'd.  table: nullptr = it goes without saying.
char *describe_row_holder(const ItemPointerData *tid, const char *table, TransactionId xid);

// What this process waits for: a timeout looks every so many ms (0 = not at all), from
// watch_lock_waits() to stop_watching(), or an error.  False: it was not seen waiting since.
void watch_lock_waits(int every_ms);
void stop_watching();
bool awaited_lock(LOCKTAG *tag, LOCKMODE *mode);

} // namespace safe_migrate::pg
