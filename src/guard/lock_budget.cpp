// See lock_budget.hpp.
#include "guard/lock_budget.hpp"

namespace safe_migrate::guard {

uint64 catalog_moment() { return 0; }

bool take_locks(const statement::Effects *effects, const LockBudget &budget, uint64 judged_at,
				bool again)
{
	return false;
}

bool holds_strong_lock() { return false; }

void install_lock_budget() {}

} // namespace safe_migrate::guard
