// ADD CONSTRAINT, and the constraints in a column's definition: what has to be verified, built or
// locked for it.  Mirrors ATExecAddConstraint() and ATAddForeignKeyConstraint().
#include "statement/alter_table.hpp"

#include "pg/compat_alter.hpp"
#include "statement/constraint_rows.hpp"
#include "statement/dependents.hpp"
#include "statement/partition.hpp"
#include "statement/source_text.hpp"

extern "C" {
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "access/htup_details.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/syscache.h"
}

namespace safe_migrate::statement {

namespace {

bool has_rows(Oid relation)
{
	char kind = get_rel_relkind(relation);
	return kind == RELKIND_RELATION || kind == RELKIND_PARTITIONED_TABLE;
}

// ---------------------------------------------------------------- CHECK

// A child that has a CHECK of that name already has it merged, unverified.
void analyse_check(AlterTable *alter, Cause cause, const Constraint *check, const Part &part)
{
	if (!check->is_no_inherit)
		alter->locks_descendants = true;
	if (check->skip_validation || !pg::is_enforced(check))
		return;
	List *scanned = NIL;
	ListCell *cell;
	foreach (cell, reached_by(alter)) {
		Oid relation = lfirst_oid(cell);
		bool is_target = relation == alter->relation;
		if (!has_rows(relation) || (check->is_no_inherit && !is_target))
			continue;
		if (is_target || check->conname == nullptr ||
			find_constraint(relation, check->conname) == nullptr)
			scanned = lappend_oid(scanned, relation);
	}
	report(alter, cause, Effect::scan, scanned, part);
}

// ---------------------------------------------------------------- UNIQUE, PRIMARY KEY, EXCLUDE

bool same_names(Oid relation, const ConstraintRow *row, const List *names)
{
	if (row->n_keys != list_length(names))
		return false;
	int i = 0;
	ListCell *cell;
	foreach (cell, names) {
		if (row->keys[i++] != get_attnum(relation, strVal(lfirst(cell))))
			return false;
	}
	return true;
}

// What CompareIndexInfo() looks at besides the key's columns.
bool has_index_of(Oid relation, const ConstraintRow *row, const Constraint *wanted)
{
	HeapTuple tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(row->index));
	if (!HeapTupleIsValid(tuple))
		return false;
	auto *index = reinterpret_cast<Form_pg_index>(GETSTRUCT(tuple));
	int n = index->indnkeyatts;
	bool same = index->indnatts == n + list_length(wanted->including) &&
				index->indnullsnotdistinct == wanted->nulls_not_distinct;
	ListCell *cell;
	foreach (cell, wanted->including)
		same = same && index->indkey.values[n++] == get_attnum(relation, strVal(lfirst(cell)));
	ReleaseSysCache(tuple);
	return same;
}

// DefineIndex() attaches a partition's own constraint on the same columns, UNIQUE or PRIMARY KEY.
bool has_same_constraint(Oid relation, const Constraint *wanted)
{
	if (wanted->contype == CONSTR_EXCLUSION)
		return false;
	ListCell *cell;
	foreach (cell, constraints_on(relation)) {
		auto *row = static_cast<const ConstraintRow *>(lfirst(cell));
		if ((row->type == CONSTRAINT_PRIMARY || row->type == CONSTRAINT_UNIQUE) &&
			!OidIsValid(row->parent) && same_names(relation, row, wanted->keys) &&
			has_index_of(relation, row, wanted))
			return true;
	}
	return false;
}

struct Builds {
	List *built;   // oids
	List *visited; // partitions that are looked at
};

// DefineIndex() of a partitioned table: a partition that has the constraint brings along all below
// it.
void add_builds(Oid parent, const Constraint *key, const List *reached, Builds *builds)
{
	ListCell *cell;
	if (has_rows_elsewhere(parent))
		builds->built = lappend_oid(builds->built, parent);
	foreach (cell, find_inheritance_children(parent, NoLock)) {
		Oid partition = lfirst_oid(cell);
		if (!list_member_oid(reached, partition))
			continue;
		builds->visited = lappend_oid(builds->visited, partition);
		if (has_same_constraint(partition, key))
			continue;
		if (get_rel_relkind(partition) == RELKIND_RELATION)
			builds->built = lappend_oid(builds->built, partition);
		else
			add_builds(partition, key, reached, builds);
	}
}

// Where the index has to be built: the table, or the partitions of it that have none to match.
Builds find_key_builds(AlterTable *alter, const Constraint *key)
{
	Builds builds = {};
	if (alter->kind != RELKIND_PARTITIONED_TABLE)
		builds.built = list_make1_oid(alter->relation);
	else if (alter->recurses)
		add_builds(alter->relation, key, reached_by(alter), &builds);
	return builds;
}

// The columns of the index in PRIMARY KEY USING INDEX, of String *.
List *columns_of_index(Oid relation, const char *index_name)
{
	Oid index = get_relname_relid(index_name, get_rel_namespace(relation));
	HeapTuple tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
	if (!HeapTupleIsValid(tuple))
		return NIL;
	auto *form = reinterpret_cast<Form_pg_index>(GETSTRUCT(tuple));
	List *names = NIL;
	for (int i = 0; i < form->indnkeyatts; i++) {
		if (form->indkey.values[i] > 0)
			names =
				lappend(names, makeString(get_attname(relation, form->indkey.values[i], false)));
	}
	ReleaseSysCache(tuple);
	return names;
}

void analyse_key_columns(AlterTable *alter, const Constraint *key)
{
	if (key->contype != CONSTR_PRIMARY)
		return;
	List *columns =
		key->indexname != nullptr ? columns_of_index(alter->relation, key->indexname) : key->keys;
	ListCell *cell;
	foreach (cell, columns) {
		const char *column = strVal(lfirst(cell));
		if (get_attnum(alter->relation, column) != InvalidAttrNumber)
			analyse_set_not_null(alter, column);
	}
}

void analyse_key(AlterTable *alter, Cause cause, const Constraint *key, const Part &part)
{
	if (key->indexname == nullptr) {
		Builds builds = find_key_builds(alter, key);
		// DefineIndex() takes no more than Share on partitions, and no lock on other children
		bool all = pg::add_constraint_locks_descendants;
		Lock lock = all ? alter->lock : Lock::share;
		// (or what the trigger of a deferrable one needs)
		report(alter, cause, Effect::index_build, builds.built, part,
			   key->deferrable ? Max(lock, Lock::share_row_exclusive) : lock);
		if (alter->kind == RELKIND_PARTITIONED_TABLE)
			add_locks(alter->analysis, all ? reached_by(alter) : builds.visited, lock);
	}
	analyse_key_columns(alter, key);
}

// ---------------------------------------------------------------- FOREIGN KEY

// The columns referred to; the primary key's where none are named.  palloc'd.
int16 *referenced_columns(Oid referenced, const Constraint *key)
{
	if (key->pk_attrs != NIL)
		return attribute_numbers(referenced, key->pk_attrs);
	auto *numbers = static_cast<int16 *>(palloc0(sizeof(int16) * (list_length(key->fk_attrs) + 1)));
	ListCell *cell;
	foreach (cell, constraints_on(referenced)) {
		auto *row = static_cast<const ConstraintRow *>(lfirst(cell));
		if (row->type == CONSTRAINT_PRIMARY && row->n_keys == list_length(key->fk_attrs))
			memcpy(numbers, row->keys, sizeof(int16) * row->n_keys);
	}
	return numbers;
}

bool is_same_key(const ConstraintRow *row, const Constraint *key, Oid referenced,
				 const int16 *columns, const int16 *referred)
{
	int n = list_length(key->fk_attrs);
	return row->type == CONSTRAINT_FOREIGN && row->referenced == referenced && row->n_keys == n &&
		   row->is_valid && row->is_enforced && !OidIsValid(row->parent) &&
		   row->is_deferrable == key->deferrable && row->is_deferred == key->initdeferred &&
		   row->match == key->fk_matchtype && row->on_update == key->fk_upd_action &&
		   row->on_delete == key->fk_del_action &&
		   memcmp(row->keys, columns, sizeof(int16) * n) == 0 &&
		   memcmp(row->referenced_keys, referred, sizeof(int16) * n) == 0;
}

// tryAttachPartitionForeignKey(): a partition's own valid key of the same kind is taken over.
bool has_same_key(Oid relation, const Constraint *key, Oid referenced)
{
	const int16 *columns = attribute_numbers(relation, key->fk_attrs);
	const int16 *referred = referenced_columns(referenced, key);
	ListCell *cell;
	foreach (cell, constraints_on(relation)) {
		if (is_same_key(static_cast<const ConstraintRow *>(lfirst(cell)), key, referenced, columns,
						referred))
			return true;
	}
	return false;
}

// The descendants that get the key too: partitions, not the children of plain inheritance.
List *referencing(AlterTable *alter)
{
	return alter->kind == RELKIND_PARTITIONED_TABLE ? with_descendants(alter->relation)
													: list_make1_oid(alter->relation);
}

// The lock on the referenced table lasts as long as the other's rows are checked.
void report_referenced(AlterTable *alter, Cause cause, Oid referenced, bool is_checked,
					   const Part &part)
{
	if (referenced != alter->relation && is_checked) {
		Finding *finding = add_finding(alter->analysis, cause, Effect::metadata, referenced,
									   Lock::share_row_exclusive);
		finding->object = part.object;
		finding->definition = part.definition;
		finding->facts =
			psprintf("writes wait while the rows of %s are checked", get_rel_name(alter->relation));
	}
	if (referenced == alter->relation)
		return;
	add_referenced(alter->analysis, referenced, Lock::share_row_exclusive);
	add_right(alter->analysis, RelationRelationId, referenced, Right::reference);
}

void analyse_foreign_key(AlterTable *alter, Cause cause, const Constraint *key, const Part &part,
						 bool is_checked)
{
	Target target = find_target(alter->analysis, key->pktable, false);
	if (!OidIsValid(target.relation))
		return; // of the script's own
	List *scanned = NIL;
	ListCell *cell;
	foreach (cell, referencing(alter)) {
		Oid relation = lfirst_oid(cell);
		bool is_partition = relation != alter->relation;
		if (is_checked &&
			(get_rel_relkind(relation) == RELKIND_RELATION || has_rows_elsewhere(relation)) &&
			!(is_partition && has_same_key(relation, key, target.relation)))
			scanned = lappend_oid(scanned, relation);
	}
	report(alter, cause, Effect::scan, scanned, part);
	add_locks(alter->analysis, referencing(alter), alter->lock);
	report_referenced(alter, cause, target.relation, scanned != NIL, part);
}

} // namespace

void analyse_add_constraint(AlterTable *alter, const Constraint *constraint)
{
	const char *text = subcommand_text(alter->analysis, constraint->location);
	Part part = {nullptr, constraint->conname, text, nullptr};
	if (constraint->keys != NIL)
		part.column = strVal(linitial(constraint->keys));
	else if (constraint->fk_attrs != NIL)
		part.column = strVal(linitial(constraint->fk_attrs));
	if (pg::add_constraint_locks_descendants)
		alter->locks_descendants = true;
	switch (constraint->contype) {
		case CONSTR_CHECK:
			return analyse_check(alter, Cause::add_check, constraint, part);
		case CONSTR_NOTNULL: // 18
			alter->locks_descendants = true;
			if (!constraint->skip_validation)
				analyse_set_not_null(alter, part.column, !constraint->is_no_inherit);
			return;
		case CONSTR_FOREIGN:
			return analyse_foreign_key(alter, Cause::add_foreign_key, constraint, part,
									   !constraint->skip_validation && pg::is_enforced(constraint));
		case CONSTR_UNIQUE:
			return analyse_key(alter, Cause::add_unique, constraint, part);
		case CONSTR_PRIMARY:
			return analyse_key(alter, Cause::add_primary_key, constraint, part);
		case CONSTR_EXCLUSION:
			return analyse_key(alter, Cause::add_exclude, constraint, part);
		default:
			return;
	}
}

void analyse_column_constraint(AlterTable *alter, const char *column, const Constraint *constraint,
							   const char *definition, bool has_default)
{
	Part part = {column, constraint->conname, definition, nullptr};
	switch (constraint->contype) {
		case CONSTR_CHECK:
			return analyse_check(alter, Cause::add_column_check, constraint, part);
		case CONSTR_FOREIGN: {
			// transformFKConstraints(): rows that are all NULL need no look
			auto *key = static_cast<Constraint *>(copyObjectImpl(constraint));
			key->fk_attrs = list_make1(makeString(pstrdup(column)));
			return analyse_foreign_key(alter, Cause::add_column_references, key, part,
									   has_default && pg::is_enforced(constraint));
		}
		case CONSTR_UNIQUE:
		case CONSTR_PRIMARY: {
			auto *key = static_cast<Constraint *>(copyObjectImpl(constraint));
			key->keys = list_make1(makeString(pstrdup(column)));
			return analyse_key(alter, Cause::add_column_unique, key, part);
		}
		default:
			return;
	}
}

} // namespace safe_migrate::statement
