// What effects are called in the rows of explain() and plan().
#pragma once
#include "statement/effects.hpp"

namespace safe_migrate::statement {

// As in pg_locks.mode; nullptr for no lock.
constexpr const char *name_of(Lock lock)
{
	constexpr const char *names[] = {nullptr,
									 "AccessShareLock",
									 "RowShareLock",
									 "RowExclusiveLock",
									 "ShareUpdateExclusiveLock",
									 "ShareLock",
									 "ShareRowExclusiveLock",
									 "ExclusiveLock",
									 "AccessExclusiveLock"};
	return names[static_cast<int>(lock)];
}

constexpr const char *name_of(Blocks blocks)
{
	constexpr const char *names[] = {"nothing", "writes", "reads and writes"};
	return names[static_cast<int>(blocks)];
}

constexpr const char *name_of(Effect effect)
{
	constexpr const char *names[] = {"metadata",	"scan",			"rewrite",
									 "index build", "client break", "data loss"};
	return names[static_cast<int>(effect)];
}

} // namespace safe_migrate::statement
