// SET NOT NULL: does the table have to be scanned for NULLs?  Mirrors ATPrepSetNotNull() and
// ATExecSetNotNull(), of which 18 has another one.
#include "statement/alter_table.hpp"

#include "pg/compat_alter.hpp"
#include "statement/folding.hpp"

extern "C" {
#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

namespace safe_migrate::statement {

namespace {

using pg::NotNull;

bool has_checks(Oid relation)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	if (!HeapTupleIsValid(tuple))
		return false;
	bool has = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relchecks > 0;
	ReleaseSysCache(tuple);
	return has;
}

bool is_proven(const AlterTable *alter, Oid relation, AttrNumber attnum)
{
	if (!has_checks(relation))
		return false;
	Relation rel = open_judged(relation);
	if (rel == nullptr)
		return false;
	bool proven = not_null_is_proven(rel, attnum, alter->dropped);
	close_judged(rel);
	return proven;
}

bool drops_not_null(const AlterTable *alter, const char *column)
{
	ListCell *cell;
	foreach (cell, alter->commands) {
		auto *command = lfirst_node(AlterTableCmd, cell);
		if (command->subtype == AT_DropNotNull && strcmp(command->name, column) == 0)
			return true;
	}
	return false;
}

// Before 18 the children of a partitioned table are left alone if it says NOT NULL itself.
bool is_done(const AlterTable *alter, NotNull state)
{
	if (state == NotNull::valid)
		return pg::not_null_is_a_constraint || alter->kind == RELKIND_PARTITIONED_TABLE;
	return state == NotNull::not_valid_inherited; // it becomes its own, no more
}

// A child that has a constraint keeps it as it is, valid or not, if the parent had none (18).
bool has_to_be_scanned(const AlterTable *alter, Oid relation, const char *name, NotNull parent)
{
	if (get_rel_relkind(relation) != RELKIND_RELATION && !has_rows_elsewhere(relation))
		return false;
	AttrNumber attnum = get_attnum(relation, name);
	if (attnum <= 0)
		return false;
	NotNull state =
		drops_not_null(alter, name) ? NotNull::no : pg::not_null_state(relation, attnum);
	if (state == NotNull::valid)
		return false;
	if (state != NotNull::no)
		return relation == alter->relation || parent == NotNull::not_valid;
	return !is_proven(alter, relation, attnum);
}

} // namespace

void analyse_set_not_null(AlterTable *alter, const char *column, bool is_inherited)
{
	Part part = {column, nullptr, nullptr, nullptr};
	AttrNumber attnum = get_attnum(alter->relation, column);
	if (attnum == InvalidAttrNumber) {
		if (adds_column(alter, column)) // NULL in each row, unless its own default says otherwise
			report(alter, Cause::set_not_null, Effect::scan, reached_by(alter), part);
		return;
	}
	bool dropped = drops_not_null(alter, column);
	NotNull state = dropped ? NotNull::no : pg::not_null_state(alter->relation, attnum);
	if (is_done(alter, state))
		return;
	alter->locks_descendants = true;
	List *scanned = NIL;
	ListCell *cell;
	foreach (cell, is_inherited ? reached_by(alter) : list_make1_oid(alter->relation)) {
		if (has_to_be_scanned(alter, lfirst_oid(cell), column, state))
			scanned = lappend_oid(scanned, lfirst_oid(cell));
	}
	report(alter, Cause::set_not_null, Effect::scan, scanned, part);
}

} // namespace safe_migrate::statement
