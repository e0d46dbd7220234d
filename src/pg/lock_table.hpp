// The server's lock table: who holds what is wanted, who waits for what is held.
#pragma once
#include "pg/postgres.hpp"

#include "pg/lock_patience.hpp"

extern "C" {
#include "datatype/timestamp.h"
#include "storage/lock.h"
}

namespace safe_migrate::pg {

// A transaction of somebody else that holds a lock on a relation.  Texts are palloc'd, nullptr
// where there is none or the current user may not see it (as in pg_stat_activity).
struct LockHolder {
	int pid;		  // 0 = a prepared transaction
	uint32 prepared;  // its transaction number then
	const char *gid;  // and its name, with describe_holder()
	bool autovacuum;  // yields to who waits for longer than deadlock_timeout
	bool wraparound;  // one that does not: it prevents transaction ID wraparound
	int64 age_ms;	  // of its transaction; -1 = unknown
	int64 waits_ms;	  // for a lock itself; -1 = it does not
	const char *user; // with describe_holder()
	const char *application;
	const char *state;
	const char *query;
};

// Where a class is given, the object is one of that catalog, else a relation; of this database.
LOCKTAG lock_tag_of(Oid class_id, Oid object);

// Those who hold locks on it that conflict with the mode.
LockHolder *conflicting_holders(Oid object, LOCKMODE mode, int *n, Oid class_id = InvalidOid);

// The same of any lock.
LockHolder *conflicting_holders(const LOCKTAG &tag, LOCKMODE mode, int *n);

// Counts them, for the decision whether to queue.
void add_obstacles(Oid object, LOCKMODE mode, Obstacles *all, Oid class_id = InvalidOid);

// Fills in the texts; the age only if the current user may see it.
void describe_holder(LockHolder *holder);

// Does this transaction hold that lock, or a stronger one, on it?
bool holds_lock(Oid object, LOCKMODE mode, Oid class_id = InvalidOid);

// As LockDatabaseObject(), which the server has no conditional one of before 17.  False (at_once
// only): somebody is in the way.
bool lock_object(Oid class_id, Oid object, LOCKMODE mode, bool at_once);

// The relations of this database, catalogs apart, on which this process holds a lock of ShareLock
// or stronger.
Oid *strongly_locked_relations(int *n);

// What a process waits for in a queue; false: for nothing.  May be called in a signal handler: it
// takes no lock and no memory, and may be told of a wait that has just ended.
struct LockWait {
	LOCKTAG tag;
	LOCKMODE mode;
	TimestampTz since;
};
bool lock_wait_of(PGPROC *proc, LockWait *wait);

// One that waits for a lock on a relation of this database.
struct LockWaiter {
	int pid;
	Oid relation;
	LOCKMODE mode;
	TimestampTz since;
};

// Those who wait, one for each call, from *position = 0 on; false when there are no more.  As
// lock_wait_of().
bool next_lock_waiter(uint32 *position, LockWaiter *waiter);

// "ACCESS EXCLUSIVE", as SQL and the manual name it.
const char *lock_mode_name(LOCKMODE mode);

} // namespace safe_migrate::pg
