// What does not outlive its session, and what goes along with it.
#pragma once
#include "pg/postgres.hpp"

#include "statement/alter_table.hpp"

namespace safe_migrate::statement {

// Is the object in a temporary schema, or does it depend on one that is?  The end of the session,
// or DISCARD TEMP, drops it by CASCADE, without a statement that could be judged.
bool goes_with_session(Oid class_id, Oid object);

// The relation is made to depend on an object: its rows go with it.
void analyse_new_tie(Analysis *analysis, Oid relation, Lock lock, Oid class_id, Oid object);

// OF, INHERIT, ATTACH PARTITION.
void analyse_tie_of_table(AlterTable *alter, const AlterTableCmd *command);

// A column's type and collation.
void analyse_tie_of_column(AlterTable *alter, const char *column, Oid type, Oid collation);

} // namespace safe_migrate::statement
