// Strong locks, taken politely and held briefly: a judged statement queues in short tries, and
// nobody waits longer than the budget behind the transaction that holds them.  Only under enforce.
#pragma once
#include "pg/postgres.hpp"

#include "statement/effects.hpp"

namespace safe_migrate::guard {

// Milliseconds; of the settings, or of a policy for the relation.
struct LockBudget {
	int lock_try;	  // one stay in the queue
	int lock_retry;	  // patience over all tries
	int lock_timeout; // where the transaction holds strong locks already: one stay
	int max_hold;	  // 0 = no limit: so for an overridden statement without one of its own
};

// What the catalog is known to be: taken before a statement is analysed, it tells take_locks()
// whether somebody changed a relation between the analysis and the locks.
uint64 catalog_moment();

// Takes the strong locks that the effects predict, in the order of the findings, and starts the
// clock on how long they may be held while somebody waits.  Returns true when the catalog may have
// changed since judged_at, or tables grown, since somebody was in the way: the caller analyses and
// judges again, under the locks, and calls it again with again = true, which gives back what is not
// wanted any more; so until it returns false.
//
//	 bool again = false;
//	 do {
//		 uint64 moment = catalog_moment();
//		 … analyse, judge, reject …
//		 again = take_locks(effects, budget, moment, again);
//	 } while (again);
//
// Gives up with 55P03, which names the blockers.  Takes nothing where the caller has not the rights
// for the statement (its own error follows), nor for statements with transactions of their own.
// The caller's analysis holds no lock any more.
bool take_locks(const statement::Effects *effects, const LockBudget &budget, uint64 judged_at,
				bool again = false);

// The same for a look at a relation that somebody has locked against it: in ACCESS SHARE mode,
// which give_back_look() gives back, before the statement asks for locks.  False: it is gone.
bool wait_to_look(Oid relation, const LockBudget &budget);
void give_back_look(Oid relation);

// Starts that clock for a lock that a job's step has taken, whatever the guard's mode: the limit in
// ms, 0 = none.
int limit_queued_hold(Oid relation, int mode);

// Told why, where the limit ends the session, as its transaction is aborted.
using SessionEndTeller = void (*)(const char *why);
void tell_session_end_by(SessionEndTeller teller); // from _PG_init

// Does this transaction hold a strong lock on a relation that others may use?
bool holds_strong_lock();

// From _PG_init, after the guard's own hook: an error that the budget caused gets its own text in
// hooks around that one.
void install_lock_budget();

} // namespace safe_migrate::guard
