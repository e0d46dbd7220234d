// Who is in the way of a lock, for the decision and for the user.
#pragma once
#include "pg/postgres.hpp"

#include "guard/lock_try.hpp"
#include "pg/paused_waits.hpp"

namespace safe_migrate::guard {

// Over all of the locks that are wanted, and which of them somebody is in the way of; works in that
// memory.
pg::Obstacles look_for_obstacles(const WantedLocks &wanted, MemoryContext memory,
								 pg::PausedWait *awaited);

// After a while of trying: a NOTICE that says what the statement waits for.
void tell_blockers(const WantedLocks &wanted, int64 elapsed_ms);

// Raises 55P03 for the lock at that place of the list, with those who hold it.
[[noreturn]] void report_no_lock(const WantedLocks &wanted, int which, int64 elapsed_ms);

// "12 ms", "3.4 s", "8 min": palloc'd.
char *format_duration(int64 ms);

} // namespace safe_migrate::guard
