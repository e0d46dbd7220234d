// Where in a list something stands, by its oid: for lists that are searched while they grow, of as
// many relations as a CASCADE or a parent of thousands of partitions reaches.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "common/hashfn.h"
}

namespace safe_migrate::pg {

// Open addressing, at most half full.  Zeroed it is empty; its room is taken from `memory`, from
// the current context where that is nullptr.
struct OidPlaces {
	struct Slot {
		Oid oid; // InvalidOid: free
		int place;
	};
	Slot *slots;
	uint32 capacity; // a power of two
	uint32 n;
	MemoryContext memory;

	// nullptr: it is not there.
	int *find(Oid oid) const
	{
		if (capacity == 0)
			return nullptr;
		Slot *slot = slot_of(oid);
		return slot->oid == oid ? &slot->place : nullptr;
	}

	// The place that is there, or else this one from now on.
	int *put(Oid oid, int place)
	{
		if (2 * (n + 1) > capacity)
			grow();
		Slot *slot = slot_of(oid);
		if (slot->oid != oid) {
			*slot = {oid, place};
			n++;
		}
		return &slot->place;
	}

	void clear()
	{
		if (capacity > 0)
			memset(slots, 0, sizeof(Slot) * capacity);
		n = 0;
	}

private:
	Slot *slot_of(Oid oid) const
	{
		uint32 at = murmurhash32(oid) & (capacity - 1);
		while (slots[at].oid != InvalidOid && slots[at].oid != oid)
			at = (at + 1) & (capacity - 1);
		return &slots[at];
	}

	void grow()
	{
		const Slot *old = slots;
		const uint32 old_capacity = capacity;
		capacity = capacity == 0 ? 16 : 2 * capacity;
		slots = static_cast<Slot *>(MemoryContextAllocZero(
			memory != nullptr ? memory : CurrentMemoryContext, sizeof(Slot) * capacity));
		for (uint32 i = 0; i < old_capacity; i++)
			if (old[i].oid != InvalidOid)
				*slot_of(old[i].oid) = old[i];
		if (old != nullptr)
			pfree(const_cast<Slot *>(old));
	}
};

} // namespace safe_migrate::pg
