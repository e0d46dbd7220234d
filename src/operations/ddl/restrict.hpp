// What a DROP without CASCADE would be refused for, found out when it is queued.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "catalog/objectaddress.h"
}

namespace safe_migrate::operations::ddl {

// Error 2BP01 that names what depends on the object and would not go along, with what to call first
// for the foreign keys among it.
void refuse_dependents(const ObjectAddress &object);

// NOTICE that lists what goes along: indexes, constraints, defaults, sequences, triggers, …
void note_dependents(const ObjectAddress &object);

// The SQL with that in words, for the description of a step.
char *with_dependents(const char *sql, const ObjectAddress &object);

} // namespace safe_migrate::operations::ddl
