// See lock_patience.hpp.
#include "pg/lock_patience.hpp"

#include <algorithm>

#include "pg/pure.hpp"

namespace safe_migrate::pg {

namespace {

// A pause is as long as a stay at first, then doubles up to so many of them.
constexpr int longest_pause_in_stays = 8;
// How often to look whether an old holder has gone; looking stands in nobody's way.
constexpr int look_ms = 100;
constexpr int deadlock_ms = 20;

int within(int ms, int limit) { return limit > 0 ? std::min(ms, limit) : ms; }

// Half as long to one and a half times: sessions that met in the queue don't meet there again.
int jittered(int ms, double random) { return std::max(1, static_cast<int>(ms * (0.5 + random))); }

int pause_after(int stays, int stay, double random)
{
	const int factor = stays > 4 ? longest_pause_in_stays : 1 << std::max(0, stays - 1);
	return jittered(stay * std::min(factor, longest_pause_in_stays), random);
}

// What is left for pauses; of too little the half is for the stay.
int without_last_stay(const Patience &patience, int left)
{
	return std::max(1, left > patience.stay ? left - patience.stay : left / 2);
}

// The server looks for autovacuums in the way after deadlock_timeout: half the stay leaves the rest
// of it to the autovacuum to go.
NextMove stay_for(int ms, bool last, const Obstacles &obstacles)
{
	return {Move::stay, ms, last, obstacles.yielding > 0 ? std::max(1, ms / 2) : 0, false};
}

// As the server would, this one looks for a deadlock in the queue, and soon: before the other one
// looks, who may be in the middle of his work.
NextMove settle(const Patience &patience, const Obstacles &obstacles, double random)
{
	if (obstacles.waits_for_us == WaitsForUs::lately)
		return {Move::pause, jittered(look_ms, random), false, 0, false};
	return {Move::stay, patience.stay, false, std::clamp(patience.stay / 2, 1, deadlock_ms), true};
}

} // namespace

Patience patience_of(int lock_try, int lock_retry, int lock_timeout, bool holds_strong_locks,
					 int session_lock_timeout)
{
	if (holds_strong_locks)
		return {within(lock_timeout, session_lock_timeout), 0, true, false};
	const int total = within(lock_retry, session_lock_timeout);
	return {within(lock_try, session_lock_timeout), total, false, total < lock_retry};
}

NextMove next_move(const Patience &patience, const Waiting &waiting, const Obstacles &obstacles,
				   double random)
{
	const int64_t left = patience.total - waiting.elapsed_ms;
	const bool fresh_from_queue = waiting.stays > 0 && !waiting.has_paused;
	if (waiting.was_last || (left <= 0 && (fresh_from_queue || patience.bounded)))
		return {Move::give_up, 0, true, 0, false};
	if (obstacles.waits_for_us != WaitsForUs::no && !fresh_from_queue &&
		waiting.elapsed_ms < std::max(patience.total, patience.stay))
		return settle(patience, obstacles, random);
	if (patience.once || left <= 0)
		return stay_for(patience.stay, true, obstacles);

	const int left_ms = static_cast<int>(left);
	if (patience.bounded && left_ms <= patience.stay && !fresh_from_queue)
		return stay_for(left_ms, true, obstacles);
	const int free_ms = patience.bounded ? without_last_stay(patience, left_ms) : left_ms;
	if (obstacles.holders > obstacles.yielding && obstacles.oldest_ms > old_holder_ms)
		return {Move::pause, std::min(jittered(look_ms, random), free_ms), false, 0, false};
	if (fresh_from_queue)
		return {Move::pause, std::min(pause_after(waiting.stays, patience.stay, random), free_ms),
				false, 0, false};
	return stay_for(patience.stay, false, obstacles);
}

} // namespace safe_migrate::pg
