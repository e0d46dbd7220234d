// The strong locks that judged statements of this transaction took, on tables that others use.
#pragma once
#include "pg/postgres.hpp"

#include "statement/effects.hpp"

namespace safe_migrate::guard {

struct HeldLock {
	Oid relation;
	statement::Lock lock;
	SubTransactionId taken_in;
};

void hold_lock(Oid relation, statement::Lock lock);
const HeldLock *held_lock_on(Oid relation); // nullptr where there is none
const HeldLock *any_held_lock();			// the first of them

// At the end of a subtransaction: its parent has them, or with InvalidSubTransactionId nobody.
void reassign_locks(SubTransactionId own, SubTransactionId parent);
void forget_locks();

} // namespace safe_migrate::guard
