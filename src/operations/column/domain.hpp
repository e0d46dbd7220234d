// A domain with constraints: the server rewrites a table for each column of one, and there is no
// type change from the base type to it without (ATExecAddColumn(),
// ATColumnChangeRequiresRewrite()). What can be had without is a column of the base type with the
// same conditions.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "nodes/pg_list.h"
}

namespace safe_migrate::operations::column {

bool is_constrained_domain(Oid type);

struct DomainParts {
	Oid type; // the base type, of domains over domains too
	int32 typmod;
	Oid collation;
	bool is_not_null;
	List *checks; // of char *: conditions on the column, resolved, those of the innermost first
};

DomainParts take_apart(Oid domain, const char *column);

} // namespace safe_migrate::operations::column
