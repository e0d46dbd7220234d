// ALTER COLUMN TYPE: between check_column_type.cpp, which looks at the column, and
// check_type_users.cpp, which looks at what is made anew for its new type.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "utils/relcache.h"
}

namespace safe_migrate::operations::apply {

struct TypeChange {
	const char *column;
	AttrNumber number; // in the table that is looked at
	Oid type;
	int32 typmod;
	Oid collation;
};

// Indexes, CHECKs and foreign keys, as ATPostAlterTypeCleanup() makes them again: the server's
// errors where there is no such operator class, operator, function.
void check_made_anew(Relation relation, const TypeChange &change);

} // namespace safe_migrate::operations::apply
