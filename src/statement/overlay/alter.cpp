// ALTER TABLE after statements that the catalog knows nothing of: sub-commands that concern what
// the script has changed are answered from the overlay, the others are left to the catalog.
#include "statement/overlay/answer.hpp"

#include "pg/compat_analysis.hpp"
#include "statement/dependents.hpp"
#include "statement/partition.hpp"

extern "C" {
#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_publication.h"
#include "catalog/pg_type.h"
#include "commands/tablecmds.h"
#include "nodes/makefuncs.h"
#include "nodes/value.h"
#include "parser/parse_type.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

namespace safe_migrate::statement::overlay {

namespace {

enum class Answer : uint8_t { live, given, depends };

struct Alter {
	const Overlay *overlay;
	Analysis *analysis;
	const AlterTableStmt *statement;
	Oid relation;
	const ScriptRelation *record; // nullptr: unchanged so far
	int depends_on;
	const char *what;
};

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

// ---------------------------------------------------------------- NOT NULL

bool is_not_null_in_catalog(Oid relation, const char *column)
{
	HeapTuple tuple = SearchSysCacheAttName(relation, column);
	if (!HeapTupleIsValid(tuple))
		return false;
	bool not_null = reinterpret_cast<Form_pg_attribute>(GETSTRUCT(tuple))->attnotnull;
	ReleaseSysCache(tuple);
	return not_null;
}

bool has_name(const List *names, const char *name)
{
	ListCell *cell;
	foreach (cell, names) {
		if (strcmp(strVal(lfirst(cell)), name) == 0)
			return true;
	}
	return false;
}

// The sub-command drops it along the way, which the server does first.
bool is_dropped_here(const Alter *alter, const ScriptConstraint *constraint)
{
	ListCell *cell;
	foreach (cell, alter->statement->cmds) {
		auto *command = lfirst_node(AlterTableCmd, cell);
		if (command->subtype == AT_DropConstraint && constraint->name != nullptr &&
			strcmp(command->name, constraint->name) == 0)
			return true;
	}
	return false;
}

bool is_proven_by_script(const Alter *alter, const char *column)
{
	ListCell *cell;
	foreach (cell, alter->record->constraints) {
		auto *constraint = static_cast<const ScriptConstraint *>(lfirst(cell));
		if (constraint->type == CONSTR_CHECK && constraint->validated_by != 0 &&
			constraint->dropped_by == 0 && !is_dropped_here(alter, constraint) &&
			has_name(constraint->columns, column))
			return true;
	}
	return false;
}

// A constraint that was there, which may have been the proof; by which statement it went.
int proof_dropped_by(const ScriptRelation *record)
{
	int by = 0;
	ListCell *cell;
	foreach (cell, record->constraints) {
		auto *constraint = static_cast<const ScriptConstraint *>(lfirst(cell));
		if (constraint->added_by == 0)
			by = std::max({by, constraint->dropped_by, constraint->validated_by});
	}
	return by;
}

Answer set_not_null(Alter *alter, const char *name, Lock lock)
{
	if (alter->record == nullptr)
		return Answer::live;
	const ScriptColumn *column = find_column(alter->record, name);
	if (column != nullptr && column->changed_by != 0)
		return depends_on_column(alter, column);
	bool nullable = column != nullptr && column->nullable_by > column->not_null_by;
	if (column != nullptr && column->not_null_by != 0 && !nullable)
		return only_locks(alter, lock);
	if (!nullable && is_not_null_in_catalog(alter->relation, name))
		return Answer::live;
	if (is_proven_by_script(alter, name))
		return only_locks(alter, lock);
	if (proof_dropped_by(alter->record) != 0)
		return depends(alter, proof_dropped_by(alter->record), "a constraint that may prove it");
	if (column == nullptr)
		return Answer::live;
	return give(alter, Cause::set_not_null, Effect::scan, lock, name, nullptr);
}

// ---------------------------------------------------------------- ADD COLUMN

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

// ---------------------------------------------------------------- constraints

bool has_script_column(const Alter *alter, const List *names)
{
	ListCell *cell;
	foreach (cell, names) {
		if (find_column(alter->record, strVal(lfirst(cell))) != nullptr)
			return true;
	}
	return false;
}

Answer add_check(Alter *alter, const Constraint *constraint)
{
	const char *what = nullptr;
	int by = names_changed_object(alter->overlay, constraint->raw_expr, &what);
	if (by == 0 && !names_changed_column(alter->record, constraint->raw_expr))
		return Answer::live;
	if (constraint->skip_validation)
		return only_locks(alter, Lock::access_exclusive);
	return give(alter, Cause::add_check, Effect::scan, Lock::access_exclusive, nullptr,
				constraint->conname);
}

Answer add_foreign_key(Alter *alter, const Constraint *constraint)
{
	Named parent = resolve(alter->overlay, constraint->pktable);
	if (!parent.exists() || (!parent.is_new() && !has_script_column(alter, constraint->fk_attrs) &&
							 !is_changed(parent.script)))
		return Answer::live;
	Lock lock = Lock::share_row_exclusive;
	if (constraint->skip_validation)
		(void)only_locks(alter, lock);
	else
		(void)give(alter, Cause::add_foreign_key, Effect::scan, lock,
				   constraint->fk_attrs != NIL ? strVal(linitial(constraint->fk_attrs)) : nullptr,
				   constraint->conname);
	if (parent.script != nullptr)
		add_script_lock(alter->analysis, parent.script, lock);
	else
		add_lock(alter->analysis, parent.oid, lock);
	return Answer::given;
}

// … USING INDEX: brief, but that a primary key wants its columns to be NOT NULL.
Answer use_index(Alter *alter, const Constraint *constraint)
{
	RangeVar name = *alter->statement->relation;
	name.relname = constraint->indexname;
	if (name.schemaname == nullptr)
		name.schemaname = get_namespace_name(get_rel_namespace(alter->relation));
	Named index = resolve(alter->overlay, &name);
	if (!index.is_new() && !is_changed(alter->record))
		return Answer::live;
	if (constraint->contype == CONSTR_UNIQUE)
		return index.is_new() ? only_locks(alter, Lock::access_exclusive) : Answer::live;
	if (!index.is_new())
		return depends(alter, alter->record->indexes_by, "the index and its columns");
	if (index.script->key == NIL)
		return depends(alter, index.script->created_by, psprintf("index \"%s\"", name.relname));
	ListCell *cell;
	foreach (cell, index.script->key) {
		const char *column = strVal(lfirst(cell));
		const ScriptColumn *known = find_column(alter->record, column);
		bool not_null = known != nullptr && (known->added_by != 0 || known->nullable_by != 0 ||
											 known->not_null_by != 0)
							? known->not_null_by > known->nullable_by
							: is_not_null_in_catalog(alter->relation, column);
		if (not_null || (alter->record != nullptr && is_proven_by_script(alter, column)))
			continue;
		return give(alter, Cause::add_primary_key, Effect::scan, Lock::access_exclusive, column,
					constraint->conname);
	}
	return only_locks(alter, Lock::access_exclusive);
}

Answer add_key(Alter *alter, const Constraint *constraint)
{
	if (constraint->indexname != nullptr)
		return use_index(alter, constraint);
	if (!has_script_column(alter, constraint->keys))
		return Answer::live;
	return give(alter,
				constraint->contype == CONSTR_PRIMARY ? Cause::add_primary_key : Cause::add_unique,
				Effect::index_build, Lock::access_exclusive, strVal(linitial(constraint->keys)),
				constraint->conname);
}

Answer add_constraint(Alter *alter, const Constraint *constraint)
{
	switch (constraint->contype) {
		case CONSTR_CHECK:
			return add_check(alter, constraint);
		case CONSTR_FOREIGN:
			return add_foreign_key(alter, constraint);
		case CONSTR_UNIQUE:
		case CONSTR_PRIMARY:
			return add_key(alter, constraint);
		case CONSTR_NOTNULL:
			if (constraint->skip_validation)
				return is_changed(alter->record) ? only_locks(alter, Lock::access_exclusive)
												 : Answer::live;
			return set_not_null(alter, strVal(linitial(constraint->keys)), Lock::access_exclusive);
		case CONSTR_EXCLUSION:
			return is_changed(alter->record)
					   ? give(alter, Cause::add_exclude, Effect::index_build,
							  Lock::access_exclusive, nullptr, constraint->conname)
					   : Answer::live;
		default:
			return Answer::live;
	}
}

Answer validate(Alter *alter, const char *name)
{
	const ScriptConstraint *constraint = find_constraint(alter->record, name);
	if (constraint == nullptr || constraint->added_by == 0)
		return Answer::live;
	if (constraint->validated_by != 0)
		return only_locks(alter, Lock::share_update_exclusive);
	(void)give(alter, Cause::validate_constraint, Effect::scan, Lock::share_update_exclusive,
			   nullptr, name);
	if (constraint->parent != nullptr)
		add_script_lock(alter->analysis, constraint->parent, Lock::row_share);
	return Answer::given;
}

// What CASCADE takes along may be a foreign key of the script's.
bool may_take_keys(const Alter *alter, const AlterTableCmd *command)
{
	return command->behavior == DROP_CASCADE && alter->record != nullptr &&
		   alter->record->foreign_keys_by != 0;
}

Answer drop_constraint(Alter *alter, const char *name)
{
	const ScriptConstraint *constraint = find_constraint(alter->record, name);
	if (constraint == nullptr || constraint->added_by == 0)
		return Answer::live;
	if (constraint->parent != nullptr)
		add_script_lock(alter->analysis, constraint->parent, Lock::access_exclusive);
	bool is_key = constraint->type == CONSTR_PRIMARY || constraint->type == CONSTR_UNIQUE ||
				  constraint->type == CONSTR_EXCLUSION;
	return give(alter, Cause::drop_constraint, is_key ? Effect::client_break : Effect::metadata,
				Lock::access_exclusive, nullptr, name);
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

namespace {

void lock_parent(const Overlay *overlay, Analysis *analysis, const ScriptRelation *relation,
				 const Constraint *constraint)
{
	if (constraint->contype != CONSTR_FOREIGN)
		return;
	Named parent = resolve(overlay, constraint->pktable);
	if (parent.is_new() || !OidIsValid(parent.oid))
		return;
	add_referenced(analysis, parent.oid, Lock::share_row_exclusive);
	if (relation->filled_by != 0 && !constraint->skip_validation) // who writes to it waits
		add_dependence(overlay, analysis, parent.oid, relation->filled_by,
					   psprintf("how many rows \"%s\" has", relation->name));
}

// Keys of a new table that go, or are made anew: whoever uses their other ends waits.
void look_at_keys(const Overlay *overlay, Analysis *analysis, const ScriptRelation *relation,
				  const AlterTableCmd *command)
{
	bool retypes = command->subtype == AT_AlterColumnType;
	bool drops_column = command->subtype == AT_DropColumn;
	if (!retypes && !drops_column && command->subtype != AT_DropConstraint)
		return;
	ListCell *cell;
	foreach (cell, relation->constraints) {
		auto *key = static_cast<const ScriptConstraint *>(lfirst(cell));
		if (key->parent == nullptr || key->dropped_by != 0)
			continue;
		if (retypes || drops_column ? has_name(key->columns, command->name)
									: key->name == nullptr || strcmp(key->name, command->name) == 0)
			add_script_lock(analysis, key->parent, Lock::access_exclusive);
	}
	if (relation->referenced_by != 0 && (retypes || command->behavior == DROP_CASCADE))
		add_dependence(overlay, analysis, InvalidOid, relation->referenced_by,
					   "foreign keys that refer to it");
}

} // namespace

void answer_alter_new(const Overlay *overlay, Analysis *analysis, const AlterTableStmt *statement,
					  const ScriptRelation *relation)
{
	judge_new(overlay, analysis, relation,
			  static_cast<Lock>(AlterTableGetLockLevel(statement->cmds)));
	ListCell *cell;
	foreach (cell, statement->cmds) {
		auto *command = lfirst_node(AlterTableCmd, cell);
		look_at_keys(overlay, analysis, relation, command);
		if (command->subtype == AT_AddConstraint)
			lock_parent(overlay, analysis, relation, castNode(Constraint, command->def));
		if (command->subtype == AT_AddColumn) {
			ListCell *other;
			foreach (other, castNode(ColumnDef, command->def)->constraints)
				lock_parent(overlay, analysis, relation, lfirst_node(Constraint, other));
		}
		if (command->subtype == AT_AddInherit) {
			Named parent = resolve(overlay, castNode(RangeVar, command->def));
			if (!parent.is_new() && OidIsValid(parent.oid))
				add_lock(analysis, parent.oid, Lock::share_update_exclusive);
		}
		if (command->subtype == AT_AttachPartition) {
			// The bound and the key are the script's: what is proven, can't be told.
			Named child = resolve(overlay, castNode(PartitionCmd, command->def)->name);
			if (!child.is_new() && OidIsValid(child.oid))
				add_dependence(overlay, analysis, child.oid, relation->created_by,
							   psprintf("table \"%s\"", relation->name));
		}
	}
}

} // namespace safe_migrate::statement::overlay
