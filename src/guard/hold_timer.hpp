// max_lock_hold: for how long somebody may wait behind the strong locks of judged statements, until
// the transaction that holds them is ended.
#pragma once
#include "pg/postgres.hpp"

#include "guard/lock_try.hpp"

namespace safe_migrate::guard {

// From now on, to the end of the transaction or to the rollback of this subtransaction, nobody
// waits longer than limit_ms behind these locks, of which each relation has one.
void limit_hold(const WantedLocks &locks, int limit_ms);

// It was given back.
void forget_hold(const WantedLock &lock);

// Is there a lock with a limit?
bool limits_hold();

// From _PG_init: callbacks at the ends of (sub)transactions, and hooks that give an error which the
// limit caused its own text.
void install_hold_timer();

} // namespace safe_migrate::guard
