// See held_locks.hpp.
#include "guard/held_locks.hpp"

#include "pg/oid_places.hpp"

extern "C" {
#include "access/xact.h"
}

namespace safe_migrate::guard {

namespace {

HeldLock *held = nullptr; // in TopTransactionContext
int n_held = 0;
int capacity = 0;
pg::OidPlaces strongest = {}; // lock on each relation, as far as it is covered
int covered = 0;

void cover(int place)
{
	int *known = strongest.put(held[place].relation, place);
	if (held[place].lock > held[*known].lock ||
		(held[place].lock == held[*known].lock && !held[place].on_empty))
		*known = place;
}

} // namespace

void hold_lock(Oid relation, statement::Lock lock, bool on_empty)
{
	const HeldLock *already = held_lock_on(relation);
	if (already != nullptr && already->lock >= lock && (on_empty || !already->on_empty))
		return;
	if (held == nullptr || n_held == capacity) {
		int more = std::max(8, capacity * 2);
		auto *grown = static_cast<HeldLock *>(
			MemoryContextAlloc(TopTransactionContext, more * sizeof(HeldLock)));
		if (n_held > 0)
			memcpy(grown, held, n_held * sizeof(HeldLock));
		held = grown;
		capacity = more;
	}
	held[n_held++] = {relation, lock, GetCurrentSubTransactionId(), on_empty};
}

const HeldLock *held_lock_on(Oid relation)
{
	if (n_held == 0)
		return nullptr;
	strongest.memory = TopTransactionContext;
	for (; covered < n_held; covered++)
		cover(covered);
	const int *place = strongest.find(relation);
	return place == nullptr ? nullptr : &held[*place];
}

const HeldLock *any_held_lock()
{
	for (int i = 0; i < n_held; i++)
		if (!held[i].on_empty)
			return &held[i];
	return nullptr;
}

const HeldLock *any_held_lock_at_all() { return n_held > 0 ? held : nullptr; }

void reassign_locks(SubTransactionId own, SubTransactionId parent)
{
	int kept = 0;
	for (int i = 0; i < n_held; i++) {
		if (held[i].taken_in == own) {
			if (parent == InvalidSubTransactionId)
				continue;
			held[i].taken_in = parent;
		}
		held[kept++] = held[i];
	}
	if (n_held != kept) {
		strongest.clear();
		covered = 0;
	}
	n_held = kept;
}

void forget_locks()
{
	held = nullptr;
	n_held = 0;
	capacity = 0;
	strongest = {};
	covered = 0;
}

} // namespace safe_migrate::guard
