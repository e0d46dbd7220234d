// The table that a safe schema change is about.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "utils/relcache.h"
}

namespace safe_migrate::operations::ddl {

// Opens a table or partitioned table under AccessShareLock, kept to the end of the transaction.
// Errors: 42P01 where there is none, 42501 unless the current user owns it or where it is a system
// catalog, 42809 for what is no table.
Relation open_owned_table(Oid relation);

// The same for what can have indexes: a materialized view as well.
Relation open_owned_indexable(Oid relation);

// The same for an index, of a partitioned table too.
Relation open_owned_index(Oid relation);

// The same for any relation that has an owner: indexes, views, …
void check_owner(Relation relation);

// Error 42501 where the current user may not create indexes and sequences beside the table.
void check_may_create_beside(Oid table);

// The constraint of that name; error 42704, as ALTER TABLE itself has it.
Oid find_constraint(Relation relation, const char *name);

} // namespace safe_migrate::operations::ddl
