// ALTER TABLE after statements that the catalog knows nothing of: sub-commands that concern what
// the script has changed are answered from the overlay, the others are left to the catalog.
#include "statement/overlay/alter.hpp"

#include "pg/compat_analysis.hpp"
#include "statement/dependents.hpp"
#include "statement/partition.hpp"

extern "C" {
#include "catalog/namespace.h"
#include "catalog/pg_publication.h"
#include "catalog/pg_type.h"
#include "commands/tablecmds.h"
#include "nodes/makefuncs.h"
#include "nodes/value.h"
#include "parser/parse_type.h"
#include "utils/lsyscache.h"
}

namespace safe_migrate::statement::overlay {

Answer depends(Alter *alter, int statement_no, const char *what)
{
	if (statement_no >= alter->depends_on) {
		alter->depends_on = statement_no;
		alter->what = what;
	}
	return Answer::depends;
}

Answer give(Alter *alter, Cause cause, Effect effect, Lock lock, const char *column,
			const char *object)
{
	Finding *finding = add_answer(alter->analysis, cause, effect, alter->relation, lock);
	finding->column = column;
	finding->object = object;
	return Answer::given;
}

Answer only_locks(Alter *alter, Lock lock)
{
	add_lock(alter->analysis, alter->relation, lock);
	return Answer::given;
}

Answer depends_on_column(Alter *alter, const ScriptColumn *column)
{
	int by =
		std::max({column->added_by, column->changed_by, column->not_null_by, column->nullable_by});
	return depends(alter, by, psprintf("column \"%s\"", column->name));
}

namespace {

bool is_constant(const Node *node)
{
	if (node == nullptr || IsA(node, A_Const))
		return true;
	return IsA(node, TypeCast) && is_constant(reinterpret_cast<const TypeCast *>(node)->arg);
}

// A column of a type that the script creates costs what a text column with that default costs, as
// far as the type is a plain one and the default a constant.
bool stand_in(const Overlay *overlay, ColumnDef *definition)
{
	if (!is_new_plain_type(overlay, strVal(llast(definition->typeName->names))))
		return false;
	ListCell *cell;
	foreach (cell, definition->constraints) {
		auto *constraint = lfirst_node(Constraint, cell);
		if (constraint->contype == CONSTR_DEFAULT) {
			if (!is_constant(constraint->raw_expr))
				return false;
			while (IsA(constraint->raw_expr, TypeCast))
				constraint->raw_expr = castNode(TypeCast, constraint->raw_expr)->arg;
		} else if (constraint->contype != CONSTR_NOTNULL && constraint->contype != CONSTR_NULL)
			return false;
	}
	definition->typeName = makeTypeNameFromNameList(
		list_make2(makeString(pstrdup("pg_catalog")), makeString(pstrdup("text"))));
	return true;
}

// A domain hinges on what it is over, on its constraints and its default.
bool is_domain(const TypeName *name)
{
	Oid type = LookupTypeNameOid(nullptr, name, true);
	return OidIsValid(type) && get_typtype(type) == TYPTYPE_DOMAIN;
}

// A table that is published by now has to have the column on the subscriber first.
void look_at_publications(Alter *alter)
{
	const ScriptRelation *record = alter->record;
	if (alter->overlay->publications_by != 0)
		(void)depends(alter, alter->overlay->publications_by, "the publications of the table");
	if (record == nullptr || record->renamed_by == 0)
		return;
	Oid schema = get_namespace_oid(record->schema, true);
	if (OidIsValid(schema) && schema != get_rel_namespace(alter->relation) &&
		GetSchemaPublications(schema) != NIL)
		(void)depends(alter, record->renamed_by, psprintf("schema \"%s\"", record->schema));
}

Answer add_column(Alter *alter, AlterTableCmd *command)
{
	auto *definition = castNode(ColumnDef, command->def);
	look_at_publications(alter);
	const ScriptColumn *column = find_column(alter->record, definition->colname);
	if (column != nullptr && command->missing_ok && column->added_by != 0)
		return only_locks(alter, Lock::access_exclusive);
	if (column != nullptr && command->missing_ok && column->changed_by != 0)
		return depends_on_column(alter, column);
	const char *what = nullptr;
	int by =
		names_changed_object(alter->overlay, reinterpret_cast<Node *>(definition->typeName), &what);
	if (by != 0 && stand_in(alter->overlay, definition))
		by = 0;
	ListCell *cell;
	foreach (cell, definition->constraints) {
		auto *constraint = lfirst_node(Constraint, cell);
		if (by == 0 && constraint->raw_expr != nullptr)
			by = names_changed_object(alter->overlay, constraint->raw_expr, &what);
	}
	if (by == 0 && alter->overlay->objects_by != 0 && is_domain(definition->typeName)) {
		by = alter->overlay->objects_by;
		what = strVal(llast(definition->typeName->names));
	}
	if (by != 0)
		return depends(alter, by, psprintf("\"%s\"", what));
	if (column != nullptr && column->changed_by == 0)
		return depends_on_column(alter, column);
	return Answer::live;
}
// What CASCADE takes along may be a foreign key of the script's.
bool may_take_keys(const Alter *alter, const AlterTableCmd *command)
{
	return command->behavior == DROP_CASCADE && alter->record != nullptr &&
		   alter->record->foreign_keys_by != 0;
}
Answer drop_column(Alter *alter, const char *name)
{
	const ScriptColumn *column = find_column(alter->record, name);
	ListCell *cell;
	if (alter->record == nullptr)
		return Answer::live;
	foreach (cell, alter->record->constraints) {
		auto *constraint = static_cast<const ScriptConstraint *>(lfirst(cell));
		if (constraint->parent != nullptr && constraint->dropped_by == 0 &&
			has_name(constraint->columns, name))
			add_script_lock(alter->analysis, constraint->parent, Lock::access_exclusive);
	}
	if (column != nullptr && column->added_by != 0)
		return only_locks(alter, Lock::access_exclusive);
	return column != nullptr && column->changed_by != 0 ? depends_on_column(alter, column)
														: Answer::live;
}

// A change of type may hinge on casts, and on indexes and constraints over the column.
Answer alter_type(Alter *alter, const AlterTableCmd *command)
{
	const char *what = nullptr;
	auto *definition = castNode(ColumnDef, command->def);
	int by =
		names_changed_object(alter->overlay, reinterpret_cast<Node *>(definition->typeName), &what);
	if (by == 0 && definition->raw_default != nullptr)
		by = names_changed_object(alter->overlay, definition->raw_default, &what);
	if (by == 0 && alter->overlay->objects_by != 0 && is_domain(definition->typeName)) {
		by = alter->overlay->objects_by;
		what = strVal(llast(definition->typeName->names));
	}
	if (by != 0)
		return depends(alter, by, psprintf("\"%s\"", what));
	if (alter->overlay->casts_by != 0)
		return depends(alter, alter->overlay->casts_by, "casts and operators");
	const ScriptRelation *record = alter->record;
	if (record == nullptr)
		return Answer::live;
	if (const ScriptColumn *column = find_column(record, command->name))
		return depends_on_column(alter, column);
	if (record->indexes_by != 0)
		return depends(alter, record->indexes_by, "the indexes of the table");
	if (record->foreign_keys_by != 0)
		return depends(alter, record->foreign_keys_by, "foreign keys of the table");
	ListCell *cell;
	foreach (cell, record->constraints) {
		auto *constraint = static_cast<const ScriptConstraint *>(lfirst(cell));
		if (constraint->added_by != 0 && constraint->dropped_by == 0)
			return depends(alter, constraint->added_by, "the constraints of the table");
	}
	return Answer::live;
}

Answer attach(Alter *alter, const AlterTableCmd *command)
{
	auto *partition = castNode(PartitionCmd, command->def);
	Named child = resolve(alter->overlay, partition->name);
	if (!child.is_new() || get_rel_relkind(alter->relation) != RELKIND_PARTITIONED_TABLE) {
		int by;
		if (OidIsValid(child.oid) && !child.is_new()) {
			// Constraints may prove the bound, indexes may match, or no longer.
			for (const ScriptRelation *changed :
				 std::initializer_list<const ScriptRelation *>{child.script, alter->record})
				if (is_changed(changed))
					return depends(alter, changed->changed_by,
								   psprintf("table \"%s\"", changed->name));
		}
		return OidIsValid(child.oid) && family_is_changed(alter->overlay, child.oid, &by)
				   ? depends(alter, by, psprintf("table \"%s\"", partition->name->relname))
			   : child.is_new() ? only_locks(alter, Lock::share_update_exclusive)
								: Answer::live;
	}
	if (child.script->filled_by != 0)
		return depends(alter, child.script->filled_by,
					   psprintf("how many rows \"%s\" has", child.script->name));
	// What a new partition does to the default one, CREATE TABLE … PARTITION OF does too.
	CreateStmt *create = makeNode(CreateStmt);
	create->relation = partition->name;
	create->inhRelations = list_make1(const_cast<RangeVar *>(alter->statement->relation));
	create->partbound = partition->bound;
	int n = alter->analysis->effects->n;
	analyse_create_table(alter->analysis, create);
	for (; n < alter->analysis->effects->n; n++) {
		Cause *cause = &alter->analysis->effects->findings[n].cause;
		if (*cause == Cause::create_partition_default)
			*cause = Cause::attach_partition_default;
	}
	if (Finding *parent = first_finding(alter->analysis->effects, alter->relation))
		parent->lock = Lock::share_update_exclusive;
	return Answer::given;
}

// A key that refers to the table is checked for the rows that go.
Answer detach(Alter *alter)
{
	int by = alter->record != nullptr ? alter->record->referenced_by : 0;
	ListCell *cell;
	foreach (cell, ancestors(alter->relation)) {
		const ScriptRelation *above = find_record(alter->overlay, lfirst_oid(cell));
		by = std::max(by, above != nullptr ? above->referenced_by : 0);
	}
	return by != 0 ? depends(alter, by, "foreign keys that refer to the table") : Answer::live;
}

// Where it is already as the statement wants it, nothing is written anew.
Answer set_storage(Alter *alter)
{
	int by = std::max(alter->record != nullptr ? alter->record->storage_by : 0,
					  alter->overlay->storage_by);
	return by != 0 ? depends(alter, by, "where and how it is stored") : Answer::live;
}

// What only takes its lock, whatever the column is.
Answer change_column(Alter *alter, const AlterTableCmd *command)
{
	const ScriptColumn *column = find_column(alter->record, command->name);
	if (column == nullptr)
		return Answer::live;
	return only_locks(alter, command->subtype == AT_SetStatistics ? Lock::share_update_exclusive
																  : Lock::access_exclusive);
}

Answer answer(Alter *alter, AlterTableCmd *command)
{
	switch (command->subtype) {
		case AT_AddColumn:
			return add_column(alter, command);
		case AT_SetNotNull:
			return set_not_null(alter, command->name, Lock::access_exclusive);
		case AT_AddConstraint:
			return add_constraint(alter, castNode(Constraint, command->def));
		case AT_ValidateConstraint:
			return validate(alter, command->name);
		case AT_DropConstraint:
		case AT_DropColumn:
			if (may_take_keys(alter, command))
				return depends(alter, alter->record->foreign_keys_by,
							   "foreign keys that refer to the table");
			return command->subtype == AT_DropColumn ? drop_column(alter, command->name)
													 : drop_constraint(alter, command->name);
		case AT_AlterColumnType:
			return alter_type(alter, command);
		case AT_AttachPartition:
			return attach(alter, command);
		case AT_DetachPartition:
			return detach(alter);
		case AT_SetLogged:
		case AT_SetUnLogged:
		case AT_SetTableSpace:
		case AT_SetAccessMethod:
			return set_storage(alter);
		case AT_ColumnDefault:
		case AT_DropNotNull:
		case AT_SetStatistics:
		case AT_SetStorage:
		case AT_SetOptions:
		case AT_ResetOptions:
		case AT_AddIdentity:
		case AT_SetIdentity:
		case AT_DropIdentity:
			return change_column(alter, command);
		default:
			return Answer::live;
	}
}

} // namespace

void answer_alter_table(const Overlay *overlay, Analysis *analysis, const AlterTableStmt *statement,
						Oid relation, AlterTableStmt *live)
{
	Alter alter = {overlay, analysis, statement, relation, find_record(overlay, relation),
				   0,		nullptr};
	List *commands = live->cmds;
	live->cmds = NIL;
	ListCell *cell;
	foreach (cell, commands) {
		auto *command = lfirst_node(AlterTableCmd, cell);
		if (answer(&alter, command) == Answer::live)
			live->cmds = lappend(live->cmds, command);
	}
	if (live->cmds == NIL && statement->relation->inh)
		add_locks(analysis, with_descendants(relation),
				  static_cast<Lock>(AlterTableGetLockLevel(statement->cmds)));
	if (alter.depends_on != 0)
		add_dependence(overlay, analysis, relation, alter.depends_on, alter.what);
}

} // namespace safe_migrate::statement::overlay
