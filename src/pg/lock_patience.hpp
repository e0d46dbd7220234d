// How to wait for a strong lock without being in the way: when to stand in the queue, when to stay
// out of it, when to give up.  Pure; carried out by
// guard/lock_try.cpp in a session and by jobs/lock_wait.cpp in a worker.
#pragma once
#include <cstdint>

namespace safe_migrate::pg {

// One of them waits for this transaction in turn, and no pause ends that.  Lately: he still looks
// for a deadlock himself, or it is a stay of his own that he gives up soon.
enum class WaitsForUs : uint8_t { no, lately, for_long };

// Who holds locks that conflict with the ones wanted.
struct Obstacles {
	int holders;	   // all of them
	int yielding;	   // of these: autovacuums that the server cancels for who waits long enough
	int64_t oldest_ms; // age of the oldest transaction among the others; -1 = unknown
	WaitsForUs waits_for_us;
};

// Milliseconds.
struct Patience {
	int stay;  // one stay in the queue
	int total; // from the first look to the last stay
	bool once; // no more than one stay, of this length, at once: others wait for this transaction
	bool bounded; // by the session's lock_timeout: the last stay ends within the total, too
};

// The session's own lock_timeout (0 = none) bounds them where it is shorter.
Patience patience_of(int lock_try, int lock_retry, int lock_timeout, bool holds_strong_locks,
					 int session_lock_timeout);

enum class Move : uint8_t { stay, pause, give_up };

struct Waiting {
	int64_t elapsed_ms;
	int stays;		 // that were in vain
	bool has_paused; // since the last of them
	bool was_last;	 // it was the last one
};

struct NextMove {
	Move move;
	int ms;				  // of the stay or pause
	bool last;			  // the last stay
	int deadlock_timeout; // in the stay, so that an autovacuum is cancelled, or a deadlock found,
						  // in time; 0 = the server's
	bool settles;		  // a deadlock that is found in the stay is the end
};

// random: evenly from [0, 1).
NextMove next_move(const Patience &patience, const Waiting &waiting, const Obstacles &obstacles,
				   double random);

// A holder that is older than this is likely to stay: no queueing behind it.
constexpr int64_t old_holder_ms = 5000;

} // namespace safe_migrate::pg
