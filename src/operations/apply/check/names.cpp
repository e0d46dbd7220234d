// See check.hpp.  What DROP and REINDEX name: looked for before anything else of them, in the words
// of RemoveRelations() and RangeVarCallbackForReindexIndex().
#include "operations/apply/check/check.hpp"

extern "C" {
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "nodes/parsenodes.h"
#include "utils/lsyscache.h"
}

namespace safe_migrate::operations::apply {

namespace {

struct Dropped {
	ObjectType type;
	int sqlstate;
	const char *message;
};

constexpr Dropped dropped_kinds[] = {
	{OBJECT_TABLE, ERRCODE_UNDEFINED_TABLE, "table \"%s\" does not exist"},
	{OBJECT_SEQUENCE, ERRCODE_UNDEFINED_TABLE, "sequence \"%s\" does not exist"},
	{OBJECT_VIEW, ERRCODE_UNDEFINED_TABLE, "view \"%s\" does not exist"},
	{OBJECT_MATVIEW, ERRCODE_UNDEFINED_TABLE, "materialized view \"%s\" does not exist"},
	{OBJECT_FOREIGN_TABLE, ERRCODE_UNDEFINED_TABLE, "foreign table \"%s\" does not exist"},
	{OBJECT_INDEX, ERRCODE_UNDEFINED_OBJECT, "index \"%s\" does not exist"},
};

void check_dropped(const DropStmt *drop)
{
	ListCell *cell;
	for (const Dropped &kind : dropped_kinds) {
		if (kind.type != drop->removeType || drop->missing_ok)
			continue;
		foreach (cell, drop->objects) {
			RangeVar *name = makeRangeVarFromNameList(lfirst_node(List, cell));
			if (name->schemaname)
				(void)get_namespace_oid(name->schemaname, false);
			if (!OidIsValid(RangeVarGetRelid(name, NoLock, true)))
				refuse(kind.sqlstate, kind.message, name->relname);
		}
	}
}

// As RangeVarCallbackForReindexIndex() and RangeVarCallbackOwnsTable().
void check_reindexed(const ReindexStmt *reindex)
{
	if (!reindex->relation)
		return;
	Oid oid = RangeVarGetRelid(reindex->relation, NoLock, false);
	char kind = get_rel_relkind(oid);
	bool is_index = kind == RELKIND_INDEX || kind == RELKIND_PARTITIONED_INDEX;
	bool is_table = kind == RELKIND_RELATION || kind == RELKIND_PARTITIONED_TABLE ||
					kind == RELKIND_MATVIEW || kind == RELKIND_TOASTVALUE;
	if (reindex->kind == REINDEX_OBJECT_INDEX && !is_index)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s\" is not an index", get_rel_name(oid))));
	if (reindex->kind == REINDEX_OBJECT_TABLE && !is_table)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s\" is not a table or materialized view", get_rel_name(oid))));
}

} // namespace

void check_names(const Unit &unit)
{
	if (IsA(unit.statement, DropStmt))
		check_dropped(castNode(DropStmt, unit.statement));
	if (IsA(unit.statement, AlterTableStmt))
		check_attached(castNode(AlterTableStmt, unit.statement));
	if (IsA(unit.statement, ReindexStmt))
		check_reindexed(castNode(ReindexStmt, unit.statement));
}

} // namespace safe_migrate::operations::apply
