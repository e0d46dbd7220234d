// ALTER TABLE … SET NOT NULL, ADD, VALIDATE and DROP CONSTRAINT after statements that the catalog
// knows nothing of.
#include "statement/overlay/alter.hpp"

#include "statement/dependents.hpp"

extern "C" {
#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_attribute.h"
#include "nodes/value.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

namespace safe_migrate::statement::overlay {

namespace {

bool is_not_null_in_catalog(Oid relation, const char *column)
{
	HeapTuple tuple = SearchSysCacheAttName(relation, column);
	if (!HeapTupleIsValid(tuple))
		return false;
	bool not_null = reinterpret_cast<Form_pg_attribute>(GETSTRUCT(tuple))->attnotnull;
	ReleaseSysCache(tuple);
	return not_null;
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
} // namespace

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

namespace {

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

// As transformIndexConstraint() finds it.
[[noreturn]] void fails_for_not_unique(const Overlay *overlay, const ScriptRelation *index)
{
	*overlay->fails = true;
	ereport(ERROR,
			(errcode(ERRCODE_WRONG_OBJECT_TYPE),
			 errmsg("\"%s\" is not a unique index", index->name),
			 errdetail("Cannot create a primary key or unique constraint using such an index.")));
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
	if (index.is_new() && !index.script->is_unique)
		fails_for_not_unique(alter->overlay, index.script);
	if (index.is_new() && index.script->key == NIL)
		return depends(alter, index.script->created_by, psprintf("index \"%s\"", name.relname));
	if (constraint->contype == CONSTR_UNIQUE)
		return index.is_new() ? only_locks(alter, Lock::access_exclusive) : Answer::live;
	if (!index.is_new())
		return depends(alter, alter->record->indexes_by, "the index and its columns");
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
} // namespace

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

} // namespace safe_migrate::statement::overlay
