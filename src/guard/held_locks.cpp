// See held_locks.hpp.
#include "guard/held_locks.hpp"

extern "C" {
#include "access/xact.h"
}

namespace safe_migrate::guard {

namespace {

HeldLock *held = nullptr; // in TopTransactionContext
int n_held = 0;
int capacity = 0;

} // namespace

void hold_lock(Oid relation, statement::Lock lock)
{
	for (int i = 0; i < n_held; i++)
		if (held[i].relation == relation && held[i].lock >= lock)
			return;
	if (n_held == capacity) {
		int more = std::max(8, capacity * 2);
		auto *grown = static_cast<HeldLock *>(
			MemoryContextAlloc(TopTransactionContext, more * sizeof(HeldLock)));
		if (n_held > 0)
			memcpy(grown, held, n_held * sizeof(HeldLock));
		held = grown;
		capacity = more;
	}
	held[n_held++] = {relation, lock, GetCurrentSubTransactionId()};
}

const HeldLock *held_lock_on(Oid relation)
{
	const HeldLock *strongest = nullptr;
	for (int i = 0; i < n_held; i++)
		if (held[i].relation == relation && (!strongest || held[i].lock > strongest->lock))
			strongest = &held[i];
	return strongest;
}

const HeldLock *any_held_lock() { return n_held > 0 ? held : nullptr; }

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
	n_held = kept;
}

void forget_locks()
{
	held = nullptr;
	n_held = 0;
	capacity = 0;
}

} // namespace safe_migrate::guard
