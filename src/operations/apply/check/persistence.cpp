// See check.hpp.  SET LOGGED, SET UNLOGGED: ATPrepChangePersistence(); where a table is stored.
#include "operations/apply/check/check.hpp"

#include "pg/catalog_scan.hpp"
#include "pg/compat_alter.hpp"
#include "pg/compat_analysis.hpp"
#include "statement/constraint_rows.hpp"

extern "C" {
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_tablespace.h"
#include "commands/tablespace.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
}

namespace safe_migrate::operations::apply {

namespace {

void check_logged(Relation relation)
{
	ListCell *cell;
	foreach (cell, statement::constraints_on(RelationGetRelid(relation))) {
		const auto *row = static_cast<const statement::ConstraintRow *>(lfirst(cell));
		if (row->type == CONSTRAINT_FOREIGN && row->referenced != row->relation &&
			get_rel_persistence(row->referenced) != RELPERSISTENCE_PERMANENT)
			refuse(ERRCODE_INVALID_TABLE_DEFINITION,
				   "could not change table \"%s\" to logged because it references unlogged table "
				   "\"%s\"",
				   RelationGetRelationName(relation), get_rel_name(row->referenced));
	}
}

void check_unlogged(Relation relation)
{
	Oid oid = RelationGetRelid(relation);
	const char *name = RelationGetRelationName(relation);
	if (pg::publications_naming(oid) != NIL)
		refuse(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
			   "cannot change table \"%s\" to unlogged because it is part of a publication", name);
	Oid other = InvalidOid;
	pg::for_each_row_with<FormData_pg_constraint>(
		ConstraintRelationId, Anum_pg_constraint_confrelid, oid,
		[&](const FormData_pg_constraint &row) {
			if (row.contype == CONSTRAINT_FOREIGN && row.conrelid != oid && !OidIsValid(other) &&
				get_rel_persistence(row.conrelid) == RELPERSISTENCE_PERMANENT)
				other = row.conrelid;
		});
	if (OidIsValid(other))
		refuse(ERRCODE_INVALID_TABLE_DEFINITION,
			   "could not change table \"%s\" to unlogged because it references logged table "
			   "\"%s\"",
			   name, get_rel_name(other));
}

} // namespace

void check_storage_command(Relation relation, const AlterTableCmd *command)
{
	char persistence = relation->rd_rel->relpersistence;
	bool is_partitioned = relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE;
	bool sets = command->subtype == AT_SetLogged || command->subtype == AT_SetUnLogged;
	if (sets && is_partitioned && !pg::partitioned_has_persistence)
		refuse(ERRCODE_WRONG_OBJECT_TYPE, "ALTER action %s cannot be performed on relation \"%s\"",
			   command->subtype == AT_SetLogged ? "SET LOGGED" : "SET UNLOGGED",
			   RelationGetRelationName(relation));
	switch (command->subtype) {
		case AT_SetLogged:
			if (persistence == RELPERSISTENCE_UNLOGGED)
				check_logged(relation);
			return;
		case AT_SetUnLogged:
			if (persistence == RELPERSISTENCE_PERMANENT)
				check_unlogged(relation);
			return;
		case AT_SetTableSpace:
			if (get_tablespace_oid(command->name, true) == GLOBALTABLESPACE_OID)
				refuse(ERRCODE_INVALID_PARAMETER_VALUE,
					   "only shared relations can be placed in pg_global tablespace");
			return;
		case AT_SetAccessMethod:
			if (!pg::partitioned_has_access_method && is_partitioned)
				refuse(ERRCODE_WRONG_OBJECT_TYPE,
					   "cannot change access method of a partitioned table");
			return;
		default:
			return;
	}
}

} // namespace safe_migrate::operations::apply
