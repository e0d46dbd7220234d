// Who may not run a statement gets no lock for it either: what the server checks before it locks.
#pragma once
#include "pg/postgres.hpp"

#include "statement/effects.hpp"

namespace safe_migrate::guard {

// False only where the server will refuse the statement for want of a right; where it would wait
// for a lock before it asks, its error is raised here.
bool may_take_locks(const statement::Effects *effects);
// The same of a statement whose analysis has come to that relation, which it has to look at.
bool may_wait_for(const statement::Effects *effects, Oid relation);

} // namespace safe_migrate::guard
