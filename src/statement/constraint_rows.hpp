// Rows of pg_constraint as plain structs, palloc'd.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"
}

namespace safe_migrate::statement {

struct ConstraintRow {
	Oid oid;
	const char *name;
	char type; // CONSTRAINT_CHECK, …
	bool is_valid;
	bool is_enforced;
	bool is_local;
	bool no_inherit;
	int n_parents; // that it is inherited from
	bool is_deferrable;
	bool is_deferred;
	char match;
	char on_update;
	char on_delete;
	Oid relation;
	Oid referenced;
	Oid index;
	Oid parent;
	int n_keys;
	const int16 *keys;			  // attribute numbers; nullptr where there are none
	const int16 *referenced_keys; // of a foreign key
	const Oid *equal_operators;	  // of a foreign key: referenced = referencing
};

const ConstraintRow *read_constraint(Oid constraint);				  // nullptr: none
List *constraints_on(Oid relation);									  // of ConstraintRow *
const ConstraintRow *find_constraint(Oid relation, const char *name); // nullptr: none
bool has_key(const ConstraintRow *constraint, AttrNumber attnum);

// What depends on an object (sub_id: of a column; 0: all of a relation), one level deep.
struct DependsOn {
	Oid class_id;
	Oid object;
	int sub_id;
	char type; // DEPENDENCY_NORMAL, …
};
List *dependents_of(Oid class_id, Oid object, int sub_id); // of DependsOn *

// Names of the columns as attribute numbers, 0 where there is none; palloc'd.
int16 *attribute_numbers(Oid relation, const List *names);

} // namespace safe_migrate::statement
