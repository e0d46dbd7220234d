// Between alter_type.cpp, which says what becomes of the column, and type_dependents.cpp, which
// says what becomes of what depends on it.
#pragma once
#include "pg/postgres.hpp"

#include "statement/alter_table.hpp"

namespace safe_migrate::statement {

// A column that gets another type, collation or only length.
struct TypeChange {
	const char *column;
	Column old;
	Oid type;
	int32 typmod;
	Oid collation;
	bool rewrites;
};

// CHECKs verified and foreign keys made anew on one of the reached relations (the changes have its
// own attribute numbers).  Returns the oids of the indexes that are rebuilt though the table is not
// rewritten.  Mirrors RememberAllDependentForRebuilding() and ATPostAlterTypeCleanup().
List *analyse_type_dependents(AlterTable *alter, Oid relation, const TypeChange *changes, int n);

} // namespace safe_migrate::statement
