// Strong locks, taken politely and held briefly: a judged statement queues in short tries, and
// nobody waits longer than the budget behind the transaction that holds them.
#pragma once
#include "pg/postgres.hpp"

#include "statement/effects.hpp"

namespace safe_migrate::guard {

// Milliseconds; of the settings, or of a policy for the relation.
struct LockBudget {
	int lock_try;	  // one stay in the queue
	int lock_retry;	  // patience over all tries
	int lock_timeout; // where the transaction holds strong locks already: one stay
	int max_hold;	  // 0 = no limit
};

// Takes the strong locks that the effects predict, in the order of the statement, and starts the
// clock on how long they may be held while somebody waits.  Gives up with 55P03 that names the
// blockers.  Only for statements that have no transactions of their own; the caller's analysis
// holds no lock any more.
void take_locks(const statement::Effects *effects, const LockBudget &budget);

// Does this transaction hold a strong lock that a judged statement took?
bool holds_strong_lock();

void install_lock_budget(); // from _PG_init

} // namespace safe_migrate::guard
