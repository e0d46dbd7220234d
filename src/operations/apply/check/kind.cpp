// See check.hpp.  What more than one family of statements asks, and how it is said.
#include "operations/apply/check/check.hpp"

#include "pg/catalog_scan.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/catalog.h"
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "commands/tablecmds.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
}

namespace safe_migrate::operations::apply {

void refuse(int sqlstate, const char *message, const char *name, const char *second,
			const char *third)
{
	ereport(ERROR, (errcode(sqlstate), errmsg_internal(message, name, second, third)));
	pg_unreachable();
}

void check_no_system_catalog(Relation relation, const char *name)
{
	if (!allowSystemTableMods && IsSystemRelation(relation))
		refuse(ERRCODE_INSUFFICIENT_PRIVILEGE, "permission denied: \"%s\" is a system catalog",
			   name);
}

int inherited_count(Oid relation, const char *column)
{
	HeapTuple tuple = SearchSysCacheAttName(relation, column);
	if (!HeapTupleIsValid(tuple))
		return 0;
	int count = reinterpret_cast<Form_pg_attribute>(GETSTRUCT(tuple))->attinhcount;
	ReleaseSysCache(tuple);
	return count;
}

bool can_have_triggers(char kind)
{
	return kind == RELKIND_RELATION || kind == RELKIND_VIEW || kind == RELKIND_FOREIGN_TABLE ||
		   kind == RELKIND_PARTITIONED_TABLE;
}

namespace {

struct Kind {
	ObjectType type;
	char kind;
	const char *message;
};

constexpr Kind kinds[] = {
	{OBJECT_SEQUENCE, RELKIND_SEQUENCE, "\"%s\" is not a sequence"},
	{OBJECT_VIEW, RELKIND_VIEW, "\"%s\" is not a view"},
	{OBJECT_MATVIEW, RELKIND_MATVIEW, "\"%s\" is not a materialized view"},
	{OBJECT_FOREIGN_TABLE, RELKIND_FOREIGN_TABLE, "\"%s\" is not a foreign table"},
	{OBJECT_TYPE, RELKIND_COMPOSITE_TYPE, "\"%s\" is not a composite type"},
};

} // namespace

void check_relation_kind(ObjectType type, const RangeVar *name, Oid oid, bool is_rename)
{
	Relation relation = relation_open(oid, AccessShareLock);
	char kind = relation->rd_rel->relkind;
	check_no_system_catalog(relation, name->relname);
	relation_close(relation, NoLock);
	for (const Kind &one : kinds)
		if (one.type == type && one.kind != kind)
			refuse(ERRCODE_WRONG_OBJECT_TYPE, one.message, name->relname);
	if (type == OBJECT_INDEX && !is_rename && kind != RELKIND_INDEX &&
		kind != RELKIND_PARTITIONED_INDEX)
		refuse(ERRCODE_WRONG_OBJECT_TYPE, "\"%s\" is not an index", name->relname);
	if (type != OBJECT_TYPE && kind == RELKIND_COMPOSITE_TYPE)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s\" is a composite type", name->relname),
						errhint("Use ALTER TYPE instead.")));
}

namespace {

struct Action {
	AlterTableType type;
	const char *name;
};

// As alter_table_type_to_string() calls them.
constexpr Action of_tables[] = {
	{AT_AddColumn, "ADD COLUMN"},
	{AT_DropColumn, "DROP COLUMN"},
	{AT_AlterColumnType, "ALTER COLUMN ... SET DATA TYPE"},
	{AT_SetNotNull, "ALTER COLUMN ... SET NOT NULL"},
	{AT_DropNotNull, "ALTER COLUMN ... DROP NOT NULL"},
	{AT_AddConstraint, "ADD CONSTRAINT"},
	{AT_DropConstraint, "DROP CONSTRAINT"},
	{AT_ValidateConstraint, "VALIDATE CONSTRAINT"},
	{AT_SetLogged, "SET LOGGED"},
	{AT_SetUnLogged, "SET UNLOGGED"},
	{AT_EnableRowSecurity, "ENABLE ROW SECURITY"},
	{AT_AddInherit, "INHERIT"},
	{AT_EnableTrig, "ENABLE TRIGGER"},
	{AT_DisableTrig, "DISABLE TRIGGER"},
	{AT_EnableTrigAll, "ENABLE TRIGGER ALL"},
	{AT_DisableTrigAll, "DISABLE TRIGGER ALL"},
};

} // namespace

void check_kind_for(const AlterTableCmd *command, Oid relation)
{
	char kind = get_rel_relkind(relation);
	for (const Action &action : of_tables)
		if (action.type == command->subtype && (kind == RELKIND_VIEW || kind == RELKIND_MATVIEW))
			refuse(ERRCODE_WRONG_OBJECT_TYPE,
				   "ALTER action %s cannot be performed on relation \"%s\"", action.name,
				   get_rel_name(relation));
}

List *typed_tables(Oid type_relation, DropBehavior behavior)
{
	List *tables = NIL;
	pg::for_each_row_with<FormData_pg_class>(
		RelationRelationId, Anum_pg_class_reloftype, get_rel_type_id(type_relation),
		[&](const FormData_pg_class &row) { tables = lappend_oid(tables, row.oid); });
	if (tables != NIL && behavior == DROP_RESTRICT)
		ereport(ERROR, (errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
						errmsg("cannot alter type \"%s\" because it is the type of a typed table",
							   get_rel_name(type_relation)),
						errhint("Use ALTER ... CASCADE to alter the typed tables too.")));
	return tables;
}

} // namespace safe_migrate::operations::apply
