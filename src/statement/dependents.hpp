// What goes along when something is dropped: a read-only mirror of the server's walk over
// pg_depend, and of the locks that the deletion of each kind of object takes on relations.
#pragma once
#include "pg/postgres.hpp"

#include "statement/analysis.hpp"

extern "C" {
#include "catalog/objectaddress.h"
#include "nodes/pg_list.h"
}

namespace safe_migrate::statement {

struct Dependent {
	ObjectAddress object;
	bool original;	// one of those that were asked for
	bool automatic; // goes along under RESTRICT too: auto, internal, partition, extension
	bool by_wish;	// goes along because somebody said ALTER … DEPENDS ON EXTENSION

	// No part of what is dropped, nor what stands in its way: judged as if it were named.
	bool stands_alone() const { return original || (by_wish && !automatic); }
};

// In the order of deletion: dependents first.  palloc'd.
struct Dependents {
	Dependent *items;
	int n;
	int capacity;
	void *index;				// of the addresses in items
	const ObjectAddress *owned; // a target that goes with its owner only, which is none
};

// Everything that performMultipleDeletions() of these would delete, whether or not RESTRICT would
// refuse it.  Mirrors findDependentObjects(); nothing is locked.
Dependents find_dependents(const ObjectAddress *targets, int n);
bool is_among(const Dependents &dependents, Oid class_id, Oid object, int32 sub_object = 0);

// Adds what the deletion does to relations: locks on those that stay, too, data that is lost,
// clients that break.  Targets that are no tables get this cause.  What a target column or
// constraint means by itself is the caller's (ALTER TABLE … DROP); here it only locks its table.
void add_deletion(Analysis *analysis, const Dependents &dependents, Cause cause_of_targets);

// Would the server refuse the deletion because of what it takes along?  Then nothing is lost: the
// locks are added that it takes before it says so, and why (effects->fails).  Only of a statement
// that is run at once.
bool is_refused(Analysis *analysis, const Dependents &dependents, DropBehavior behavior);

// The lock on a relation that has no finding yet; where it has one, that one's lock is raised.
// nullptr for what nobody has to be told of (TOAST, composite types).
Finding *add_lock(Analysis *analysis, Oid relation, Lock lock);
void add_locks(Analysis *analysis, List *relations, Lock lock);

// The relation that a trigger, rule, policy, constraint, … belongs to; InvalidOid: none.
Oid relation_of_part(Oid class_id, Oid object);

// An object that is no relation: a function, a type, a schema.
Finding *add_object(Analysis *analysis, Cause cause, Effect effect, const ObjectAddress *object);

} // namespace safe_migrate::statement
