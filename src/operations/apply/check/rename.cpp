// See check.hpp.  RENAME and SET SCHEMA: what RangeVarCallbackForAlterRelation(),
// renameatt_internal(), rename_constraint_internal(), RenameRelationInternal() and their kin look
// at, in their words.
#include "operations/apply/check/check.hpp"

#include "pg/catalog_scan.hpp"
#include "pg/compat_alter.hpp"
#include "statement/constraint_rows.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/policy.h"
#include "commands/trigger.h"
#include "rewrite/rewriteSupport.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
}

namespace safe_migrate::operations::apply {

namespace {

// ---------------------------------------------------------------- columns

struct Column {
	const char *name;
	const char *new_name;
};

void check_free_column(Oid relation, const char *name)
{
	AttrNumber number = get_attnum(relation, name);
	if (number < 0)
		refuse(ERRCODE_DUPLICATE_COLUMN, "column name \"%s\" conflicts with a system column name",
			   name);
	if (number > 0)
		refuse(ERRCODE_DUPLICATE_COLUMN, "column \"%s\" of relation \"%s\" already exists", name,
			   get_rel_name(relation));
}

// parents: how many of its parents have the column renamed, too.
void check_column_here(Oid relation, const Column &column, int parents)
{
	HeapTuple tuple = SearchSysCacheAttName(relation, column.name);
	if (!HeapTupleIsValid(tuple))
		refuse(ERRCODE_UNDEFINED_COLUMN, "column \"%s\" does not exist", column.name);
	auto form = reinterpret_cast<Form_pg_attribute>(GETSTRUCT(tuple));
	bool is_system = form->attnum <= 0;
	bool is_inherited = form->attinhcount > parents;
	ReleaseSysCache(tuple);
	if (is_system)
		refuse(ERRCODE_FEATURE_NOT_SUPPORTED, "cannot rename system column \"%s\"", column.name);
	if (is_inherited)
		refuse(ERRCODE_INVALID_TABLE_DEFINITION, "cannot rename inherited column \"%s\"",
			   column.name);
	check_free_column(relation, column.new_name);
}

// Its children first, as the server goes about it.
void check_column_of_tree(Oid relation, const Column &column, bool is_only)
{
	if (is_only && find_inheritance_children(relation, NoLock) != NIL)
		refuse(ERRCODE_INVALID_TABLE_DEFINITION,
			   "inherited column \"%s\" must be renamed in child tables too", column.name);
	List *parents = NIL;
	List *all = is_only ? NIL : find_all_inheritors(relation, NoLock, &parents);
	ListCell *cell, *number;
	forboth(cell, all, number, parents)
	{
		if (lfirst_oid(cell) != relation)
			check_column_here(lfirst_oid(cell), column, lfirst_int(number));
	}
	check_column_here(relation, column, 0);
}

bool can_rename_columns(char kind)
{
	return kind == RELKIND_RELATION || kind == RELKIND_VIEW || kind == RELKIND_MATVIEW ||
		   kind == RELKIND_COMPOSITE_TYPE || kind == RELKIND_INDEX ||
		   kind == RELKIND_PARTITIONED_INDEX || kind == RELKIND_FOREIGN_TABLE ||
		   kind == RELKIND_PARTITIONED_TABLE;
}

// As renameatt_check(), but for the ownership.
void check_owner_of_column(Oid oid)
{
	Relation relation = relation_open(oid, AccessShareLock);
	const FormData_pg_class *form = relation->rd_rel;
	if (OidIsValid(form->reloftype))
		refuse(ERRCODE_WRONG_OBJECT_TYPE, "cannot rename column of typed table");
	if (!can_rename_columns(form->relkind))
		refuse(ERRCODE_WRONG_OBJECT_TYPE, "cannot rename columns of relation \"%s\"",
			   NameStr(form->relname));
	check_no_system_catalog(relation, NameStr(form->relname));
	relation_close(relation, NoLock);
}

void check_renamed_column(const RenameStmt *rename, Oid oid)
{
	check_owner_of_column(oid);
	Column column = {rename->subname, rename->newname};
	if (get_rel_relkind(oid) != RELKIND_COMPOSITE_TYPE) {
		check_column_of_tree(oid, column, !rename->relation->inh);
		return;
	}
	ListCell *cell;
	foreach (cell, typed_tables(oid, rename->behavior))
		check_column_of_tree(lfirst_oid(cell), column, false);
	check_column_here(oid, column, 0);
}

// ---------------------------------------------------------------- constraints

// Its children have it, too: a CHECK, or NOT NULL where that is a constraint.
bool is_handed_on(const statement::ConstraintRow *constraint)
{
	return (constraint->type == CONSTRAINT_CHECK || constraint->type == 'n') &&
		   !constraint->no_inherit;
}

bool has_index_of_its_own(const statement::ConstraintRow *constraint)
{
	return OidIsValid(constraint->index) &&
		   (constraint->type == CONSTRAINT_PRIMARY || constraint->type == CONSTRAINT_UNIQUE ||
			constraint->type == CONSTRAINT_EXCLUSION);
}

void check_free_relation(const char *name, Oid schema)
{
	if (OidIsValid(get_relname_relid(name, schema)))
		refuse(ERRCODE_DUPLICATE_TABLE, "relation \"%s\" already exists", name);
}

// As RenameConstraintById().
void check_free_constraint(Oid relation, const char *name)
{
	if (statement::find_constraint(relation, name))
		refuse(ERRCODE_DUPLICATE_OBJECT, "constraint \"%s\" for relation \"%s\" already exists",
			   name, get_rel_name(relation));
}

void check_constraint_here(Oid relation, const RenameStmt *rename, int parents)
{
	const statement::ConstraintRow *constraint =
		statement::find_constraint(relation, rename->subname);
	if (!constraint)
		refuse(ERRCODE_UNDEFINED_OBJECT, "constraint \"%s\" for table \"%s\" does not exist",
			   rename->subname, get_rel_name(relation));
	if (is_handed_on(constraint) && constraint->n_parents > parents)
		refuse(ERRCODE_INVALID_TABLE_DEFINITION, "cannot rename inherited constraint \"%s\"",
			   rename->subname);
	if (has_index_of_its_own(constraint))
		check_free_relation(rename->newname, get_rel_namespace(relation));
	check_free_constraint(relation, rename->newname);
}

void check_renamed_constraint(const RenameStmt *rename, Oid oid)
{
	const statement::ConstraintRow *constraint = statement::find_constraint(oid, rename->subname);
	bool goes_down = constraint && is_handed_on(constraint);
	if (goes_down && !rename->relation->inh && find_inheritance_children(oid, NoLock) != NIL)
		refuse(ERRCODE_INVALID_TABLE_DEFINITION,
			   "inherited constraint \"%s\" must be renamed in child tables too", rename->subname);
	List *parents = NIL;
	List *all =
		goes_down && rename->relation->inh ? find_all_inheritors(oid, NoLock, &parents) : NIL;
	ListCell *cell, *number;
	forboth(cell, all, number, parents)
	{
		if (lfirst_oid(cell) != oid)
			check_constraint_here(lfirst_oid(cell), rename, lfirst_int(number));
	}
	check_constraint_here(oid, rename, 0);
}

// ---------------------------------------------------------------- relations and types

bool is_array_of_another(Oid type)
{
	Oid element = get_element_type(type);
	return OidIsValid(element) && get_array_type(element) == type;
}

// As RenameTypeInternal(): a name that an array type has is given up by it.
void check_free_type(const char *name, Oid schema)
{
	Oid type = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum(name),
							   ObjectIdGetDatum(schema));
	if (OidIsValid(type) && !(get_typisdefined(type) && is_array_of_another(type)))
		refuse(ERRCODE_DUPLICATE_OBJECT, "type \"%s\" already exists", name);
}

bool is_index(char kind) { return kind == RELKIND_INDEX || kind == RELKIND_PARTITIONED_INDEX; }

void check_renamed_relation(const RenameStmt *rename, Oid oid)
{
	check_relation_kind(rename->renameType, rename->relation, oid, true);
	Oid schema = get_rel_namespace(oid);
	check_free_relation(rename->newname, schema);
	if (OidIsValid(get_rel_type_id(oid)))
		check_free_type(rename->newname, schema);
	Oid constraint = is_index(get_rel_relkind(oid)) ? get_index_constraint(oid) : InvalidOid;
	if (OidIsValid(constraint))
		check_free_constraint(statement::read_constraint(constraint)->relation, rename->newname);
}

// ---------------------------------------------------------------- what tables have

// As RenameRewriteRule() and RangeVarCallbackForRenameRule().
void check_renamed_rule(const RenameStmt *rename, Oid oid)
{
	const char *table = get_rel_name(oid);
	char kind = get_rel_relkind(oid);
	if (kind != RELKIND_RELATION && kind != RELKIND_VIEW && kind != RELKIND_PARTITIONED_TABLE)
		refuse(ERRCODE_WRONG_OBJECT_TYPE, "relation \"%s\" cannot have rules", table);
	HeapTuple tuple =
		SearchSysCache2(RULERELNAME, ObjectIdGetDatum(oid), PointerGetDatum(rename->subname));
	if (!HeapTupleIsValid(tuple))
		refuse(ERRCODE_UNDEFINED_OBJECT, "rule \"%s\" for relation \"%s\" does not exist",
			   rename->subname, table);
	bool is_select =
		reinterpret_cast<Form_pg_rewrite>(GETSTRUCT(tuple))->ev_type == CMD_SELECT + '0';
	ReleaseSysCache(tuple);
	if (IsDefinedRewriteRule(oid, rename->newname))
		refuse(ERRCODE_DUPLICATE_OBJECT, "rule \"%s\" for relation \"%s\" already exists",
			   rename->newname, table);
	if (is_select)
		refuse(ERRCODE_INVALID_OBJECT_DEFINITION, "renaming an ON SELECT rule is not allowed");
}

bool is_of_parent(Oid trigger)
{
	bool is = false;
	pg::for_each_row_with<FormData_pg_trigger>(
		TriggerRelationId, Anum_pg_trigger_oid, trigger,
		[&](const FormData_pg_trigger &row) { is = OidIsValid(row.tgparentid); });
	return is;
}

// As renametrig().
void check_renamed_trigger(const RenameStmt *rename, Oid oid)
{
	const char *table = get_rel_name(oid);
	if (!can_have_triggers(get_rel_relkind(oid)))
		refuse(ERRCODE_WRONG_OBJECT_TYPE, "relation \"%s\" cannot have triggers", table);
	if (is_of_parent(get_trigger_oid(oid, rename->subname, false)))
		refuse(pg::trigger_of_parent, "cannot rename trigger \"%s\" on table \"%s\"",
			   rename->subname, table);
	if (strcmp(rename->subname, rename->newname) != 0 &&
		OidIsValid(get_trigger_oid(oid, rename->newname, true)))
		refuse(ERRCODE_DUPLICATE_OBJECT, "trigger \"%s\" for relation \"%s\" already exists",
			   rename->newname, table);
}

// As rename_policy().
void check_renamed_policy(const RenameStmt *rename, Oid oid)
{
	char kind = get_rel_relkind(oid);
	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
		refuse(ERRCODE_WRONG_OBJECT_TYPE, "\"%s\" is not a table", get_rel_name(oid));
	if (OidIsValid(get_relation_policy_oid(oid, rename->newname, true)))
		refuse(ERRCODE_DUPLICATE_OBJECT, "policy \"%s\" for table \"%s\" already exists",
			   rename->newname, get_rel_name(oid));
	(void)get_relation_policy_oid(oid, rename->subname, false);
}

} // namespace

void check_rename(const RenameStmt *rename)
{
	Oid oid = rename->relation ? RangeVarGetRelid(rename->relation, NoLock, true) : InvalidOid;
	if (!OidIsValid(oid))
		return;
	switch (rename->renameType) {
		case OBJECT_COLUMN:
		case OBJECT_ATTRIBUTE:
			return check_renamed_column(rename, oid);
		case OBJECT_TABCONSTRAINT:
			return check_renamed_constraint(rename, oid);
		case OBJECT_TABLE:
		case OBJECT_INDEX:
		case OBJECT_VIEW:
		case OBJECT_MATVIEW:
		case OBJECT_SEQUENCE:
		case OBJECT_FOREIGN_TABLE:
			return check_renamed_relation(rename, oid);
		case OBJECT_RULE:
			return check_renamed_rule(rename, oid);
		case OBJECT_TRIGGER:
			return check_renamed_trigger(rename, oid);
		case OBJECT_POLICY:
			return check_renamed_policy(rename, oid);
		default:
			return; // tried as it stands: it stops nobody
	}
}

namespace {

void check_can_move(const char *name, Oid oid)
{
	char kind = get_rel_relkind(oid);
	Oid table;
	int32 column;
	if (is_index(kind))
		refuse(ERRCODE_WRONG_OBJECT_TYPE, "cannot change schema of index \"%s\"", name);
	if (kind == RELKIND_TOASTVALUE)
		refuse(ERRCODE_WRONG_OBJECT_TYPE, "cannot change schema of TOAST table \"%s\"", name);
	if (kind == RELKIND_SEQUENCE && (sequenceIsOwned(oid, DEPENDENCY_AUTO, &table, &column) ||
									 sequenceIsOwned(oid, DEPENDENCY_INTERNAL, &table, &column)))
		refuse(ERRCODE_FEATURE_NOT_SUPPORTED, "cannot move an owned sequence into another schema");
}

} // namespace

// As AlterTableNamespace().
void check_moved(const AlterObjectSchemaStmt *move)
{
	Oid oid = move->relation ? RangeVarGetRelid(move->relation, NoLock, true) : InvalidOid;
	bool is_temporary = strcmp(move->newschema, "pg_temp") == 0; // not made for a question
	Oid schema = is_temporary || (move->missing_ok && !OidIsValid(oid))
					 ? InvalidOid
					 : get_namespace_oid(move->newschema, false);
	if (!OidIsValid(oid))
		return;
	check_relation_kind(move->objectType, move->relation, oid, false);
	check_can_move(move->relation->relname, oid);
	Oid old = get_rel_namespace(oid);
	if (is_temporary)
		refuse(ERRCODE_FEATURE_NOT_SUPPORTED,
			   "cannot move objects into or out of temporary schemas");
	CheckSetNamespace(old, schema);
	const char *name = get_rel_name(oid);
	if (schema != old && OidIsValid(get_relname_relid(name, schema)))
		refuse(ERRCODE_DUPLICATE_TABLE, "relation \"%s\" already exists in schema \"%s\"", name,
			   get_namespace_name(schema));
}

} // namespace safe_migrate::operations::apply
