// A call without a predicate: NULLs are filled, and nothing else.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "nodes/pg_list.h"
#include "parser/parse_node.h"
#include "utils/relcache.h"
}

namespace safe_migrate::operations::backfill {

// The predicate: that any of the assigned columns is NULL.  Of several each is set only where it is
// NULL itself, so that their values in `entries` (TargetEntry) become coalesce(<column>, <value>).
// 0A000 for a row that a cast would cut.
Node *fill_nulls(ParseState *state, Relation root, List *entries);

} // namespace safe_migrate::operations::backfill
