// One of the objects of known_objects.hpp, and its names in the catalog.
#pragma once
#include "pg/known_objects.hpp"

namespace safe_migrate::pg {

struct Known {
	Oid class_id, oid;
	int field;				 // of a composite type; 0: the object itself
	const char *field_name;	 // nullptr: not known, of a record
	const char *constant_of; // a reg* or enum constant in the text: the name of its type
	Oid constant_type;		 // 0: queued by a version that held no arrays and labels
	const char *numbers;	 // the oids of an array, as text
	bool is_inside;			 // a constant of a row, range, … holds it by its name
	const char *schema, *name;
	const char *description; // "function s.norm(integer)"
	int n_columns;			 // of a relation
	const char **columns;	 // by attnum - 1; nullptr: dropped before
};

// The object itself (field = 0), or a field of a composite type; nullptr: not among them.
const Known *find_known(const List *known, Oid class_id, Oid oid, int field);

char *describe_object(Oid class_id, Oid oid, int column = 0); // nullptr: it does not exist

// False where the object does not exist.  The schema is "" for roles, schemas and labels of enums,
// which are in none.
bool find_names(Oid class_id, Oid oid, const char **schema, const char **name);

// By attnum - 1; nullptr for dropped ones.
const char **names_of_columns(Oid relation, int *n);
int count_columns(Oid relation);

// The relation whose columns are the fields of a composite type, or of a domain over one.
Oid relation_of_type(Oid type);

// nullptr where it has been dropped.
const char *find_field(Oid type, int field);

// The last two of a qualified name; false where it is not qualified, so that it is the server's.
bool split_name(const List *names, const char **schema, const char **name);

// 42704, for the ways in which a text no longer means what it meant.
[[noreturn]] void is_another(const char *description, bool exists);
[[noreturn]] void was_renamed(const char *description, const char *name);
[[noreturn]] void is_not_held(const char *description); // it refers to nothing that is held
[[noreturn]] void cannot_tell(const char *description, const char *name);

} // namespace safe_migrate::pg
