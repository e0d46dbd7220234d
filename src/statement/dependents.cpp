// See dependents.hpp.  Follows catalog/dependency.c.
#include "statement/dependents.hpp"

#include <new>

#include "pg/compat_analysis.hpp"

extern "C" {
#include "access/genam.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/pg_depend.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
}

namespace safe_migrate::statement {

namespace {

struct Key {
	Oid class_id;
	Oid object;
	int32 sub_object;
};

struct Entry {
	Key key;
	int position;
};

// One level of the recursion (ObjectAddressStack).
struct Level {
	const ObjectAddress *object;
	const Level *next;
};

struct Walk {
	Relation depend;
	Dependents *found;
	const ObjectAddress *targets;
	int n_targets;
};

enum class Reason { original, normal, automatic, by_wish, reverse };

Key key_of(const ObjectAddress &object)
{
	return {object.classId, object.objectId, object.objectSubId};
}

HTAB *make_index()
{
	HASHCTL control = {};
	control.keysize = sizeof(Key);
	control.entrysize = sizeof(Entry);
	control.hcxt = CurrentMemoryContext;
	return hash_create("safe_migrate dependents", 64, &control,
					   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

Dependent *find(const Dependents *found, const Key &key)
{
	auto *entry = static_cast<Entry *>(
		hash_search(static_cast<HTAB *>(found->index), &key, HASH_FIND, nullptr));
	return entry == nullptr ? nullptr : &found->items[entry->position];
}

// The object itself or the whole that it is a column of (object_address_present_add_flags()).
Dependent *find_whole(const Dependents *found, const ObjectAddress &object)
{
	Dependent *exact = find(found, key_of(object));
	if (exact == nullptr && object.objectSubId != 0)
		exact = find(found, {object.classId, object.objectId, 0});
	return exact;
}

void add_reason(Dependent *dependent, Reason reason)
{
	dependent->original |= reason == Reason::original;
	dependent->automatic |= reason == Reason::automatic;
	dependent->by_wish |= reason == Reason::by_wish;
}

void add(Dependents *found, const ObjectAddress &object, Reason reason)
{
	if (found->n == found->capacity) {
		found->capacity *= 2;
		found->items =
			static_cast<Dependent *>(repalloc(found->items, sizeof(Dependent) * found->capacity));
	}
	Key key = key_of(object);
	bool exists = false;
	auto *entry = static_cast<Entry *>(
		hash_search(static_cast<HTAB *>(found->index), &key, HASH_ENTER, &exists));
	entry->position = found->n;
	Dependent *added = new (&found->items[found->n++]) Dependent{object, false, false, false};
	add_reason(added, reason);
}

bool is_on_stack(const ObjectAddress &object, const Level *stack)
{
	for (const Level *level = stack; level != nullptr; level = level->next) {
		const ObjectAddress *outer = level->object;
		if (outer->classId == object.classId && outer->objectId == object.objectId &&
			(outer->objectSubId == object.objectSubId || outer->objectSubId == 0))
			return true;
	}
	return false;
}

SysScanDesc begin_scan(Relation depend, const ObjectAddress &object, bool of_referenced)
{
	ScanKeyData key[3];
	ScanKeyInit(&key[0], of_referenced ? Anum_pg_depend_refclassid : Anum_pg_depend_classid,
				BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(object.classId));
	ScanKeyInit(&key[1], of_referenced ? Anum_pg_depend_refobjid : Anum_pg_depend_objid,
				BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(object.objectId));
	int n = 2;
	if (object.objectSubId != 0)
		ScanKeyInit(&key[n++], of_referenced ? Anum_pg_depend_refobjsubid : Anum_pg_depend_objsubid,
					BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(object.objectSubId));
	return systable_beginscan(depend,
							  of_referenced ? DependReferenceIndexId : DependDependerIndexId, true,
							  nullptr, n, key);
}

// Does the row link a part of the object to the object itself?
bool is_own_part(const ObjectAddress &other, const ObjectAddress &object)
{
	return other.classId == object.classId && other.objectId == object.objectId &&
		   object.objectSubId == 0;
}

// The object that owns this one (internally, or an extension) and would have to be deleted first.
// False where there is none, or where we come from there.  At the outermost level the server
// refuses such a drop, unless the owner is among the targets: then that one brings it along.
bool find_owner(const Walk &walk, const ObjectAddress &object, const Level *stack,
				ObjectAddress *owner)
{
	bool found = false;
	SysScanDesc scan = begin_scan(walk.depend, object, false);
	HeapTuple tuple;
	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan))) {
		auto *row = reinterpret_cast<Form_pg_depend>(GETSTRUCT(tuple));
		if (row->deptype != DEPENDENCY_INTERNAL && row->deptype != DEPENDENCY_EXTENSION)
			continue;
		ObjectAddressSubSet(*owner, row->refclassid, row->refobjid, row->refobjsubid);
		if (is_own_part(*owner, object) || is_on_stack(*owner, stack))
			continue;
		found = true;
	}
	systable_endscan(scan);
	return found;
}

// The direct dependents, sorted as the server sorts them: by age, the newest first.
struct Direct {
	ObjectAddress object;
	Reason reason;
};

Reason reason_of(char deptype)
{
	switch (deptype) {
		case DEPENDENCY_NORMAL:
			return Reason::normal;
		case DEPENDENCY_AUTO_EXTENSION:
			return Reason::by_wish;
		default:
			return Reason::automatic;
	}
}

int compare_direct(const void *a, const void *b)
{
	const auto &left = static_cast<const Direct *>(a)->object;
	const auto &right = static_cast<const Direct *>(b)->object;
	if (left.objectId != right.objectId)
		return left.objectId > right.objectId ? -1 : 1;
	if (left.classId != right.classId)
		return left.classId < right.classId ? -1 : 1;
	auto left_sub = static_cast<uint32>(left.objectSubId);
	auto right_sub = static_cast<uint32>(right.objectSubId);
	return left_sub == right_sub ? 0 : (left_sub < right_sub ? -1 : 1);
}

Direct *find_direct(const Walk &walk, const ObjectAddress &object, int *n)
{
	int capacity = 16;
	auto *direct = static_cast<Direct *>(palloc(sizeof(Direct) * capacity));
	*n = 0;
	SysScanDesc scan = begin_scan(walk.depend, object, true);
	HeapTuple tuple;
	while (HeapTupleIsValid(tuple = systable_getnext(scan))) {
		auto *row = reinterpret_cast<Form_pg_depend>(GETSTRUCT(tuple));
		ObjectAddress other;
		ObjectAddressSubSet(other, row->classid, row->objid, row->objsubid);
		if (is_own_part(other, object))
			continue;
		if (*n == capacity) {
			capacity *= 2;
			direct = static_cast<Direct *>(repalloc(direct, sizeof(Direct) * capacity));
		}
		direct[(*n)++] = {other, reason_of(row->deptype)};
	}
	systable_endscan(scan);
	if (*n > 1)
		qsort(direct, *n, sizeof(Direct), compare_direct);
	return direct;
}

// findDependentObjects().
void walk_dependents(const Walk &walk, const ObjectAddress &object, Reason reason,
					 const Level *stack)
{
	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	if (is_on_stack(object, stack))
		return;
	Dependent *known = find_whole(walk.found, object);
	if (known != nullptr)
		return add_reason(known, reason);
	ObjectAddress owner;
	if (find_owner(walk, object, stack, &owner)) {
		if (stack == nullptr)
			return; // refused, or brought along by another target
		walk_dependents(walk, owner, Reason::reverse, stack);
		known = find_whole(walk.found, object);
		if (known != nullptr)
			add_reason(known, reason);
		return;
	}
	int n = 0;
	Direct *direct = find_direct(walk, object, &n);
	Level level = {&object, stack};
	for (int i = 0; i < n; i++)
		walk_dependents(walk, direct[i].object, direct[i].reason, &level);
	pfree(direct);
	if (find(walk.found, key_of(object)) == nullptr)
		add(walk.found, object, reason);
}

} // namespace

Dependents find_dependents(const ObjectAddress *targets, int n)
{
	Dependents found = {};
	found.capacity = 64;
	found.items = static_cast<Dependent *>(palloc(sizeof(Dependent) * found.capacity));
	found.index = make_index();
	Walk walk = {table_open(DependRelationId, AccessShareLock), &found, targets, n};
	for (int i = 0; i < n; i++)
		walk_dependents(walk, targets[i], Reason::original, nullptr);
	for (int i = 0; i < n && found.owned == nullptr; i++)
		if (find_whole(&found, targets[i]) == nullptr)
			found.owned = &targets[i];
	table_close(walk.depend, AccessShareLock);
	return found;
}

bool is_among(const Dependents &dependents, Oid class_id, Oid object, int32 sub_object)
{
	ObjectAddress address;
	ObjectAddressSubSet(address, class_id, object, sub_object);
	return find_whole(&dependents, address) != nullptr;
}

} // namespace safe_migrate::statement
