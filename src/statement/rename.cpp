// RENAME, SET SCHEMA and OWNER TO.  Follows ExecRenameStmt() and what comes after it in alter.c.
#include "statement/rename.hpp"

#include "pg/catalog_scan.hpp"
#include "statement/constraint_rows.hpp"
#include "statement/dependents.hpp"
#include "statement/drop.hpp"
#include "statement/relations.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "nodes/makefuncs.h"
#include "parser/parse_type.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

namespace safe_migrate::statement {

namespace {

bool is_index(Oid relation)
{
	char kind = get_rel_relkind(relation);
	return kind == RELKIND_INDEX || kind == RELKIND_PARTITIONED_INDEX;
}

// RenameRelation(): an index is locked as the statement says, everything else exclusively.
void rename_relation(Analysis *analysis, const RenameStmt *statement)
{
	Target target = find_target(analysis, statement->relation, statement->missing_ok);
	if (!OidIsValid(target.relation))
		return;
	if (is_index(target.relation)) {
		Finding *finding =
			add_lock(analysis, target.relation,
					 statement->renameType == OBJECT_INDEX ? Lock::share_update_exclusive
														   : Lock::access_exclusive);
		finding->is_target = true;
		return;
	}
	bool is_sequence = get_rel_relkind(target.relation) == RELKIND_SEQUENCE;
	Finding *finding =
		add_finding(analysis, is_sequence ? Cause::rename_other : Cause::rename_table,
					Effect::client_break, target.relation, Lock::access_exclusive);
	finding->is_target = true;
	finding->definition = statement->newname;
}

// renameatt()
void rename_column(Analysis *analysis, const RenameStmt *statement)
{
	Target target = find_target(analysis, statement->relation, statement->missing_ok);
	if (!OidIsValid(target.relation))
		return;
	Oid relation = target.relation;
	bool is_type = get_rel_relkind(relation) == RELKIND_COMPOSITE_TYPE;
	Finding *finding = add_finding(analysis, Cause::rename_column, Effect::client_break, relation,
								   Lock::access_exclusive);
	finding->is_target = true;
	finding->column = statement->subname;
	finding->definition = statement->newname;
	if (statement->relation->inh)
		add_locks(analysis, with_descendants(relation), Lock::access_exclusive);
	if (!is_type)
		return;
	ListCell *cell;
	foreach (cell, typed_tables(get_rel_type_id(relation))) {
		Finding *table = add_finding(analysis, Cause::rename_column, Effect::client_break,
									 lfirst_oid(cell), Lock::access_exclusive);
		table->column = statement->subname;
		table->definition = statement->newname;
		add_locks(analysis, with_descendants(lfirst_oid(cell)), Lock::access_exclusive);
	}
}

bool is_inherited_kind(Oid relation, const char *constraint_name)
{
	Oid constraint = get_relation_constraint_oid(relation, constraint_name, true);
	HeapTuple tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	if (!HeapTupleIsValid(tuple))
		return false;
	auto *form = reinterpret_cast<Form_pg_constraint>(GETSTRUCT(tuple));
	bool inherited =
		(form->contype == CONSTRAINT_CHECK || form->contype == 'n') && !form->connoinherit;
	ReleaseSysCache(tuple);
	return inherited;
}

// RenameConstraint()
void rename_constraint(Analysis *analysis, const RenameStmt *statement)
{
	Target target = find_target(analysis, statement->relation, statement->missing_ok);
	if (!OidIsValid(target.relation))
		return;
	Finding *finding = add_finding(analysis, Cause::rename_other, Effect::client_break,
								   target.relation, Lock::access_exclusive);
	finding->is_target = true;
	finding->object = statement->subname;
	finding->definition = statement->newname;
	if (statement->relation->inh && is_inherited_kind(target.relation, statement->subname))
		add_locks(analysis, with_descendants(target.relation), Lock::access_exclusive);
}

// Triggers, rules, policies: nobody knows them by name.  A trigger's on a partitioned table has
// clones on the partitions.
void rename_part(Analysis *analysis, const RenameStmt *statement)
{
	Target target = find_target(analysis, statement->relation, statement->missing_ok);
	if (!OidIsValid(target.relation))
		return;
	if (Finding *finding = add_lock(analysis, target.relation, Lock::access_exclusive)) {
		finding->is_target = true;
		finding->object = statement->subname;
	}
	if (statement->renameType == OBJECT_TRIGGER &&
		get_rel_relkind(target.relation) == RELKIND_PARTITIONED_TABLE)
		add_locks(analysis, with_descendants(target.relation), Lock::access_exclusive);
}

void add_renamed_object(Analysis *analysis, const ObjectAddress &object, const char *new_name)
{
	if (!OidIsValid(object.objectId))
		return;
	Finding *finding = add_object(analysis, Cause::rename_other, Effect::client_break, &object);
	finding->is_target = true;
	finding->definition = new_name;
}

// Nothing is locked, but whoever qualifies a name of the schema's fails.
void rename_schema(Analysis *analysis, const RenameStmt *statement)
{
	Oid schema = get_namespace_oid(statement->subname, false);
	add_renamed_object(analysis, {NamespaceRelationId, schema, 0}, statement->newname);
	List *members = NIL;
	pg::for_each_row_with<FormData_pg_class>(
		RelationRelationId, Anum_pg_class_relnamespace, schema, [&](const FormData_pg_class &row) {
			if (row.relkind == RELKIND_RELATION || row.relkind == RELKIND_PARTITIONED_TABLE ||
				row.relkind == RELKIND_VIEW || row.relkind == RELKIND_MATVIEW ||
				row.relkind == RELKIND_FOREIGN_TABLE)
				members = lappend_oid(members, row.oid);
		});
	list_sort(members, list_oid_cmp);
	ListCell *cell;
	foreach (cell, members)
		add_finding(analysis, Cause::rename_other, Effect::client_break, lfirst_oid(cell),
					Lock::none);
}

void move_relation(Analysis *analysis, Oid relation, bool is_target, const char *schema)
{
	if (is_index(relation))
		return;
	bool is_sequence = get_rel_relkind(relation) == RELKIND_SEQUENCE;
	Finding *finding =
		add_finding(analysis, is_sequence ? Cause::rename_other : Cause::rename_table,
					Effect::client_break, relation, Lock::access_exclusive);
	finding->is_target = is_target;
	finding->definition = schema;
	finding->to_schema = get_namespace_oid(schema, true);
	ListCell *cell;
	foreach (cell, getOwnedSequences(relation)) // they go along: AlterSeqNamespaces()
		add_lock(analysis, lfirst_oid(cell), Lock::access_exclusive);
}

// AlterExtensionNamespace(): all its members move.
void move_extension(Analysis *analysis, const char *extension, const char *schema)
{
	Oid oid = get_extension_oid(extension, false);
	add_right(analysis, ExtensionRelationId, oid, Right::own);
	ListCell *cell;
	foreach (cell, dependents_of(ExtensionRelationId, oid, 0)) {
		const auto *member = static_cast<const DependsOn *>(lfirst(cell));
		if (member->type == DEPENDENCY_EXTENSION && member->class_id == RelationRelationId &&
			member->sub_id == 0 && get_rel_relkind(member->object) != RELKIND_COMPOSITE_TYPE)
			move_relation(analysis, member->object, false, schema);
	}
}

} // namespace

void analyse_rename(Analysis *analysis, const RenameStmt *statement)
{
	switch (statement->renameType) {
		case OBJECT_TABLE:
		case OBJECT_SEQUENCE:
		case OBJECT_VIEW:
		case OBJECT_MATVIEW:
		case OBJECT_INDEX:
		case OBJECT_FOREIGN_TABLE:
			return rename_relation(analysis, statement);
		case OBJECT_COLUMN:
		case OBJECT_ATTRIBUTE:
			return rename_column(analysis, statement);
		case OBJECT_TABCONSTRAINT:
			return rename_constraint(analysis, statement);
		case OBJECT_RULE:
		case OBJECT_TRIGGER:
		case OBJECT_POLICY:
			return rename_part(analysis, statement);
		case OBJECT_SCHEMA:
			return rename_schema(analysis, statement);
		case OBJECT_DOMAIN:
		case OBJECT_TYPE:
		case OBJECT_AGGREGATE:
		case OBJECT_COLLATION:
		case OBJECT_FUNCTION:
		case OBJECT_PROCEDURE:
		case OBJECT_ROUTINE:
		case OBJECT_TSCONFIGURATION:
		case OBJECT_TSDICTIONARY:
			return add_renamed_object(
				analysis, find_named(statement->renameType, statement->object), statement->newname);
		default:
			return; // of these nobody but migrations knows the names
	}
}

ObjectAddress find_named(ObjectType type, Node *name)
{
	if ((type == OBJECT_TYPE || type == OBJECT_DOMAIN) && IsA(name, List))
		name = reinterpret_cast<Node *>(makeTypeNameFromNameList(castNode(List, name)));
	return find_object(type, name, false);
}

// AlterTypeOwner(): a composite type has a relation, which ATExecChangeOwner() locks.
void analyse_alter_owner(Analysis *analysis, const AlterOwnerStmt *statement)
{
	if (statement->objectType != OBJECT_TYPE)
		return;
	Oid relation = get_typ_typrelid(find_named(OBJECT_TYPE, statement->object).objectId);
	if (OidIsValid(relation))
		add_finding(analysis, Cause::lock, Effect::metadata, relation, Lock::access_exclusive)
			->is_target = true;
}

void analyse_set_schema(Analysis *analysis, const AlterObjectSchemaStmt *statement)
{
	switch (statement->objectType) {
		case OBJECT_TABLE:
		case OBJECT_VIEW:
		case OBJECT_MATVIEW:
		case OBJECT_FOREIGN_TABLE:
		case OBJECT_SEQUENCE: {
			Target target = find_target(analysis, statement->relation, statement->missing_ok);
			if (OidIsValid(target.relation))
				move_relation(analysis, target.relation, true, statement->newschema);
			return;
		}
		case OBJECT_EXTENSION:
			return move_extension(analysis, strVal(statement->object), statement->newschema);
		case OBJECT_DOMAIN:
		case OBJECT_TYPE:
		case OBJECT_AGGREGATE:
		case OBJECT_COLLATION:
		case OBJECT_FUNCTION:
		case OBJECT_OPERATOR:
		case OBJECT_PROCEDURE:
		case OBJECT_ROUTINE:
		case OBJECT_TSCONFIGURATION:
		case OBJECT_TSDICTIONARY:
			return add_renamed_object(analysis,
									  find_named(statement->objectType, statement->object),
									  statement->newschema);
		default:
			return;
	}
}

} // namespace safe_migrate::statement
