// What the server would say of the table that a foreign key refers to, found out when the job is
// queued and not by its first step.
#include "operations/constraint/definition.hpp"

extern "C" {
#include "access/relation.h"
#include "catalog/objectaddress.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
}

namespace safe_migrate::operations::constraint {

namespace {

// As ATAddForeignKeyConstraint().
void check_persistence(Relation relation, Relation referenced)
{
	char own = relation->rd_rel->relpersistence;
	char other = referenced->rd_rel->relpersistence;
	if (own == RELPERSISTENCE_PERMANENT && other != RELPERSISTENCE_PERMANENT)
		ereport(ERROR, (errcode(ERRCODE_INVALID_TABLE_DEFINITION),
						errmsg("constraints on permanent tables may reference only permanent "
							   "tables")));
	if (own == RELPERSISTENCE_UNLOGGED && other == RELPERSISTENCE_TEMP)
		ereport(ERROR, (errcode(ERRCODE_INVALID_TABLE_DEFINITION),
						errmsg("constraints on unlogged tables may reference only permanent or "
							   "unlogged tables")));
	if (own == RELPERSISTENCE_TEMP && other != RELPERSISTENCE_TEMP)
		ereport(ERROR, (errcode(ERRCODE_INVALID_TABLE_DEFINITION),
						errmsg("constraints on temporary tables may reference only temporary "
							   "tables")));
}

// As checkFkeyPermissions(): of the table, or of each column.
void check_may_refer(Relation referenced, const List *columns)
{
	Oid oid = RelationGetRelid(referenced);
	bool may = pg_class_aclcheck(oid, GetUserId(), ACL_REFERENCES) == ACLCHECK_OK;
	bool may_all = true;
	ListCell *cell;
	foreach (cell, columns)
		may_all = may_all && pg_attribute_aclcheck(
								 oid, get_attnum(oid, static_cast<const char *>(lfirst(cell))),
								 GetUserId(), ACL_REFERENCES) == ACLCHECK_OK;
	if (!may && !may_all)
		aclcheck_error(ACLCHECK_NO_PRIV, get_relkind_objtype(referenced->rd_rel->relkind),
					   RelationGetRelationName(referenced));
}

// Is the index one of just these columns, in any order, for a foreign key to refer to?
bool is_key_of(const Relation index, Relation table, const List *columns)
{
	const Form_pg_index form = index->rd_index;
	if (!form->indisunique || !form->indisvalid || form->indnkeyatts != list_length(columns) ||
		RelationGetIndexPredicate(index) != NIL || RelationGetIndexExpressions(index) != NIL)
		return false;
	ListCell *cell;
	foreach (cell, columns) {
		AttrNumber number =
			get_attnum(RelationGetRelid(table), static_cast<const char *>(lfirst(cell)));
		bool among = false;
		for (int i = 0; i < form->indnkeyatts; i++)
			among = among || form->indkey.values[i] == number;
		if (!among)
			return false;
	}
	return true;
}

// Mirrors transformFkeyCheckAttrs().
void check_referenced_key(Relation referenced, const List *columns)
{
	bool found = false;
	bool deferrable = false;
	ListCell *cell;
	foreach (cell, RelationGetIndexList(referenced)) {
		Relation index = relation_open(lfirst_oid(cell), AccessShareLock);
		if (is_key_of(index, referenced, columns)) {
			found = found || index->rd_index->indimmediate;
			deferrable = deferrable || !index->rd_index->indimmediate;
		}
		relation_close(index, AccessShareLock);
	}
	const char *name = RelationGetRelationName(referenced);
	if (!found && deferrable)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("cannot use a deferrable unique constraint for referenced table "
							   "\"%s\"",
							   name)));
	if (!found)
		ereport(ERROR, (errcode(ERRCODE_INVALID_FOREIGN_KEY),
						errmsg("there is no unique constraint matching given keys for referenced "
							   "table \"%s\"",
							   name)));
}

} // namespace

void check_kind_of_referenced(Relation referenced)
{
	char kind = referenced->rd_rel->relkind;
	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("referenced relation \"%s\" is not a table",
							   RelationGetRelationName(referenced))));
}

void check_referenced(Relation relation, const Definition &definition)
{
	Relation referenced = relation_open(definition.referenced, AccessShareLock);
	check_persistence(relation, referenced);
	check_referenced_key(referenced, definition.referenced_columns);
	check_may_refer(referenced, definition.referenced_columns);
	relation_close(referenced, NoLock);
}

} // namespace safe_migrate::operations::constraint
