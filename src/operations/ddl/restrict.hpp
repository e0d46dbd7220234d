// What a DROP without CASCADE would be refused for, found out when it is queued.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "catalog/objectaddress.h"
#include "nodes/pg_list.h"
}

namespace safe_migrate::operations::ddl {

// Error 2BP01 that names what depends on the object and would not go along, with what to call first
// for the foreign keys among it.
void refuse_dependents(const ObjectAddress &object);

// Descriptions (of char *) of what goes along without being part of the object for the user:
// indexes, constraints, defaults, sequences, triggers, …
List *describe_dependents(const ObjectAddress &object);

// NOTICE with that list, where there is one.
void note_dependents(const ObjectAddress &object);

} // namespace safe_migrate::operations::ddl
