// See undo.hpp.
#include "operations/constraint/undo.hpp"

#include "operations/constraint/not_null.hpp"
#include "operations/ddl/again.hpp"
#include "operations/ddl/sql.hpp"
#include "pg/compat_analysis.hpp"
#include "statement/relations.hpp"

extern "C" {
#include "access/table.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "lib/stringinfo.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
}

namespace safe_migrate::operations::constraint {

using ddl::identifier;
using ddl::literal;
using ddl::quoted_name;

namespace {

// A partition's own CHECK becomes its parent's, with which it goes (MergeWithExistingConstraint());
// what merely inherits keeps its own.
void append_own_checks(StringInfo sql, Oid root, const char *name)
{
	List *given = NIL;
	ListCell *cell;
	foreach (cell, statement::with_descendants(root)) {
		Oid table = lfirst_oid(cell);
		Oid own = table == root || !get_rel_relispartition(table)
					  ? InvalidOid
					  : get_relation_constraint_oid(table, name, true);
		if (!OidIsValid(own))
			continue;
		if (!list_member_oid(given, get_partition_parent(table, true)))
			appendStringInfo(sql, ";\n%s", ddl::constraint_again(own));
		given = lappend_oid(given, table);
	}
}

bool says(Oid key, const char *body)
{
	char *text = ddl::constraint_text(key);
	return strcmp(text, body) == 0 || strcmp(text, psprintf("%s NOT VALID", body)) == 0;
}

// Valid, and not one that the root's partitions have from it.
bool can_be_taken(Oid key, Oid root)
{
	return ddl::holds(
		psprintf("WITH RECURSIVE up(id) AS (SELECT %u::oid UNION SELECT conparentid FROM "
				 "pg_constraint JOIN up ON oid = id) SELECT bool_and(conrelid <> %u%s) FROM up "
				 "JOIN pg_constraint ON oid = id",
				 key, root, pg::attaches_unvalidated_keys ? "" : " AND convalidated"));
}

} // namespace

Oid find_equal_key(Relation relation, const char *body)
{
	ListCell *cell;
	foreach (cell, RelationGetFKeyList(relation)) {
		Oid key = static_cast<const ForeignKeyCacheInfo *>(lfirst(cell))->conoid;
		if (says(key, body))
			return key;
	}
	return InvalidOid;
}

Oid find_taken_key(Relation relation, const char *body, Oid root)
{
	ListCell *cell;
	foreach (cell, RelationGetFKeyList(relation)) {
		Oid key = static_cast<const ForeignKeyCacheInfo *>(lfirst(cell))->conoid;
		if (says(key, body) && can_be_taken(key, root))
			return key;
	}
	return InvalidOid;
}

namespace {

bool has_own_key(Relation relation, const char *body)
{
	bool found = false;
	Oid root = RelationGetRelid(relation);
	ListCell *cell;
	foreach (cell, statement::with_descendants(root)) {
		Relation one = table_open(lfirst_oid(cell), AccessShareLock);
		found = found || OidIsValid(find_taken_key(one, body, root));
		table_close(one, NoLock);
	}
	return found;
}

} // namespace

char *undo_of_new(Relation relation, const Definition &definition)
{
	Oid oid = RelationGetRelid(relation);
	if (OidIsValid(get_relation_constraint_oid(oid, definition.name, true)))
		return nullptr;
	if (definition.type == CONSTR_FOREIGN &&
		relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE &&
		has_own_key(relation, definition.body))
		return nullptr;
	StringInfoData sql;
	initStringInfo(&sql);
	appendStringInfo(&sql, "ALTER TABLE %s DROP CONSTRAINT IF EXISTS %s", quoted_name(oid),
					 identifier(definition.name));
	if (definition.type == CONSTR_CHECK && !definition.no_inherit)
		append_own_checks(&sql, oid, definition.name);
	return sql.data;
}

namespace {

List *have_not_null(Oid root, const char *column)
{
	List *have = NIL;
	ListCell *cell;
	foreach (cell, statement::with_descendants(root)) {
		Relation one = table_open(lfirst_oid(cell), AccessShareLock);
		if (is_not_null(one, get_attnum(lfirst_oid(cell), column)))
			have = lappend_oid(have, lfirst_oid(cell));
		table_close(one, NoLock);
	}
	return have;
}

void append_drop(StringInfo sql, const char *only, Oid table, const char *column)
{
	appendStringInfo(sql, "%sALTER TABLE %s%s ALTER COLUMN %s DROP NOT NULL",
					 sql->len > 0 ? ";\n" : "", only, quoted_name(table), identifier(column));
}

} // namespace

char *undo_of_not_null(Oid root, const char *column)
{
	// from 18 on a table knows whose NOT NULL is its own
	List *have = pg::not_null_can_be_not_valid ? NIL : have_not_null(root, column);
	StringInfoData sql;
	initStringInfo(&sql);
	ListCell *cell;
	if (have == NIL)
		append_drop(&sql, "", root, column);
	else if (get_rel_relkind(root) != RELKIND_PARTITIONED_TABLE) {
		foreach (cell, statement::with_descendants(root))
			if (!list_member_oid(have, lfirst_oid(cell)))
				append_drop(&sql, "ONLY ", lfirst_oid(cell), column);
	} else {
		append_drop(&sql, "", root, column); // a partition can't keep it
		foreach (cell, have)
			if (!list_member_oid(have, get_partition_parent(lfirst_oid(cell), true)))
				appendStringInfo(
					&sql, ";\nCALL safe_migrate.wait(safe_migrate.add_not_null_safely(%s, %s))",
					literal(quoted_name(lfirst_oid(cell))), literal(column));
	}
	return sql.data;
}

char *undo_in_partitions(Oid root, const char *column)
{
	List *have = have_not_null(root, column);
	StringInfoData sql;
	initStringInfo(&sql);
	ListCell *cell;
	foreach (cell, statement::with_descendants(root))
		if (lfirst_oid(cell) != root && !list_member_oid(have, lfirst_oid(cell)))
			append_drop(&sql, "", lfirst_oid(cell), column);
	return sql.data;
}

} // namespace safe_migrate::operations::constraint
