// May this table be backfilled (or purged) at all, and by this role?  Looks at the catalog only.
#pragma once
#include "operations/backfill/definition.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "nodes/bitmapset.h"
#include "nodes/pg_list.h"
#include "utils/relcache.h"
}

namespace safe_migrate::operations::backfill {

// A table with all that hangs below it, locked with AccessShareLock to the end of the transaction.
struct Target {
	Relation root;
	List *relations; // oids of root and all its descendants, partitioned ones too
	List *leaves;	 // oids of those that hold rows
};

// Opens it and refuses what can't be done: 42809 for views, foreign tables and the like, 0A000 for
// temporary tables, rules and access methods, 42501 for system catalogs.
Target open_target(Oid relation, RowAction action);
void close_target(const Target &target); // keeps the locks

// Refuses assignments to a column that a partition key uses, or that is generated or an identity
// in a descendant.  Attribute numbers are the root's.
void check_assigned_columns(const Target &target, const Bitmapset *assigned);

// Rights of the current user on every table: UPDATE (or DELETE) and SELECT on the columns used;
// both sets offset by FirstLowInvalidHeapAttributeNumber.  42501, the missing GRANT as HINT.
void check_rights(const Target &target, RowAction action, const Bitmapset *assigned,
				  const Bitmapset *selected);

// 42501 where row security would hide rows from the current user.
void check_row_security(const Target &target);

// 42501 unless the current user may SET session_replication_role.
void check_may_disable_triggers();

// NOTICE about indexes that make heap-only updates of what it changes impossible.
void note_indexes(const Target &target, const Definition &definition);

// Number of indexes of a leaf; *blocking = one of them makes heap-only updates impossible.
int count_indexes(const Definition &definition, Oid leaf, bool *blocking);

// Total size in blocks, of relations that this session did not create.
int64 blocks_of_others(const Target &target, int64 *own);

} // namespace safe_migrate::operations::backfill
