// Who waits for locks outside of their queues, for all sessions to see, and the deadlocks that come
// of it: the server looks for those among who stands in a queue only.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "storage/lock.h"
}

namespace safe_migrate::pg {

struct AwaitedLock {
	LOCKTAG tag;
	LOCKMODE mode;
};

// All of them are waited for; those that are left out may hide a deadlock, but make none.
struct PausedWait {
	static constexpr int most = 8;
	AwaitedLock locks[most];
	int n;
};

void add_awaited(PausedWait *wait, Oid object, LOCKMODE mode, Oid class_id);

void install_paused_waits(); // from _PG_init

// This process waits from now on, until end_wait(): for these, outside of the queues, or within
// one, where what it holds of what it wants is given back at the end of the stay.
void wait_outside(const PausedWait &wait);
void wait_in_queue();
void end_wait();

// Would this wait be one of a circle, in which others wait outside of the queues, too, and were
// there before?  The last of them, and nobody else, is told who waits for whom, as the server's
// error would tell it; palloc'd.  nullptr: no.
char *deadlock_of(const PausedWait &wait);

} // namespace safe_migrate::pg
