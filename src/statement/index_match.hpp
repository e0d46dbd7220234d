// Has a partition an index already that could be attached to one of its parent?
#pragma once
#include "pg/postgres.hpp"

#include "statement/analysis.hpp"

extern "C" {
#include "nodes/execnodes.h"
#include "utils/rel.h"
}

namespace safe_migrate::statement {

// An index as CompareIndexInfo() looks at it: of a statement, or of the catalog.
struct IndexShape {
	IndexInfo *info; // nullptr: not to be known without running users' functions
	const Oid *collations;
	const Oid *families;
	TupleDesc columns;	// of the table
	bool is_constraint; // the partition's has to be one of the same kind
	char constraint_kind;
};

// Of a CREATE INDEX on the open table; of an index, whose table is open.
IndexShape shape_of_statement(Relation table, const IndexStmt *statement, const char *source);
IndexShape shape_of_index(Relation table, Relation index);

// Does the table have such an index, not yet attached to another?  The table is not opened where
// none of its indexes can be it.  must_be_valid: ATTACH passes over invalid ones, CREATE INDEX on
// the parent takes them.
bool has_matching_index(Oid table, const IndexShape &wanted, bool must_be_valid);

// The same question about one index of the open table, constraint or not.
bool is_same_index(Relation table, Relation index, const IndexStmt *statement, const char *source);
// An index of the table that could be attached, InvalidOid where there is none.
Oid find_matching_index(Oid table, const IndexShape &wanted, bool must_be_valid);

// Which leaves below a partitioned table an index of its would be built on, and how much of them.
// DefineIndex(): a partition with a matching index gets it attached, with all below it.
struct IndexBuilds {
	int64 bytes;
	int leaves;
	int matched; // partitions that have such an index
};
void find_builds(Oid parent, const IndexShape &wanted, IndexBuilds *builds);

} // namespace safe_migrate::statement
