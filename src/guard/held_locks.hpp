// The strong locks that judged statements of this transaction took, on tables that others use.
#pragma once
#include "pg/postgres.hpp"

#include "statement/effects.hpp"

namespace safe_migrate::guard {

struct HeldLock {
	Oid relation;
	statement::Lock lock;
	SubTransactionId taken_in;
	bool on_empty; // no work waits for it, but whoever uses the table does
};

void hold_lock(Oid relation, statement::Lock lock, bool on_empty);
const HeldLock *held_lock_on(Oid relation); // nullptr where there is none
const HeldLock *any_held_lock();			// the first of them on a table with rows
const HeldLock *any_held_lock_at_all();

// At the end of a subtransaction: its parent has them, or with InvalidSubTransactionId nobody.
void reassign_locks(SubTransactionId own, SubTransactionId parent);
void forget_locks();

} // namespace safe_migrate::guard
