// A part of shared memory of a fixed size, with a lock of its own: asked for while the library is
// preloaded, there from the server's start on.  As pg_stat_statements does it.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "storage/lwlock.h"
}

namespace safe_migrate::pg {

struct SharedArea {
	const char *name; // of the memory, and of the lock's tranche
	Size (*size)();	  // asked when MaxBackends is known
	// Told where it is: in the postmaster, and again in each process that does not inherit memory.
	// The lock is given with the first one, whose memory is zero; else nullptr.
	void (*attach)(void *memory, LWLock *lock);
};

// From _PG_init; area lives as long as the process.
void add_shared_area(const SharedArea *area);

} // namespace safe_migrate::pg
