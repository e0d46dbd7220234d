// The xmin horizon, and who holds a row or a table.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "access/transam.h"
#include "storage/itemptr.h"
}

namespace safe_migrate::pg {

// True when no snapshot of this cluster can still see what `xid` deleted (in any database: the
// strictest horizon).  Needs a transaction.
bool is_past_horizon(TransactionId xid);

// "(12,3), locked by transaction 4711 of pid 42" for whoever reads the job's error; palloc'd.
char *describe_lock_holder(const ItemPointerData *tid, TransactionId xid);

// The pid of a session whose lock on one of the relations conflicts with that mode, 0 = none.
int find_lock_holder(const Oid *relations, int n, int mode);

} // namespace safe_migrate::pg
