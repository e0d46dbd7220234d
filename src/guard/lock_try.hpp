// Strong locks in stays: in the queue for a moment, outside of it for longer (pg/lock_patience.hpp
// says when).
#pragma once
#include "pg/postgres.hpp"

#include "pg/lock_patience.hpp"

extern "C" {
#include "storage/lockdefs.h"
}

namespace safe_migrate::guard {

struct WantedLock {
	Oid relation; // or another object,
	LOCKMODE mode;
	const char *schema;
	const char *name;
	Oid class_id; // of that catalog; InvalidOid: a relation
};

struct WantedLocks {
	WantedLock *entries;
	int n;
};

// All of them, where nobody is in the way; else none.
bool take_at_once(const WantedLocks &wanted);

// Takes all of them, one after the other in each stay, or none and raises 55P03 (blockers.hpp).
// They belong to the current (sub)transaction.  False: nobody was in the way.
bool queue_politely(const WantedLocks &wanted, const pg::Patience &patience);

// Gives back one on a relation that queue_politely() took in this (sub)transaction.
void give_back(const WantedLock &lock);

} // namespace safe_migrate::guard
