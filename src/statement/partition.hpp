// What becomes of a table's relations when a partition comes or goes.
#pragma once
#include "pg/postgres.hpp"

#include "statement/analysis.hpp"

extern "C" {
#include "utils/rel.h"
}

namespace safe_migrate::statement {

// Does a bound (as the parser left it) call VOLATILE functions?  The server does whenever it reads
// the bound, which tells something else each time.
bool bound_is_volatile(Relation parent, const PartitionBoundSpec *bound, const char *source);

// The default partition of an open parent that gets a new partition with this bound (as the parser
// left it): locked, and scanned unless its constraints exclude the bound.
void add_default_partition(Analysis *analysis, Relation parent, const PartitionBoundSpec *bound,
						   Cause cause, const char *source);

// The foreign keys that a new partition gets from its parent, and those that refer to the parent:
// CloneForeignKeyConstraints().  child: the table that is attached, nullptr for a new one.
void add_keys_of_parent(Analysis *analysis, Relation parent, Relation child);
// The foreign keys of a partition that goes: ATDetachCheckNoForeignKeyRefs() and
// DetachPartitionFinalize().
void add_keys_of_detached(Analysis *analysis, Relation partition);

// The lock on a referenced table, and on its partitions where it has some.
void add_referenced(Analysis *analysis, Oid referenced, Lock lock);

} // namespace safe_migrate::statement
