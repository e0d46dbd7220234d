// What becomes of indexes and constraints when columns get another type.  See alter_type.hpp.
#include "statement/alter_type.hpp"

#include "pg/compat_alter.hpp"
#include "statement/constraint_rows.hpp"
#include "statement/dependents.hpp"
#include "statement/foreign_key.hpp"
#include "statement/partition.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_index.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "parser/parse_coerce.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

namespace safe_migrate::statement {

namespace {

struct Changes {
	AlterTable *alter;
	Oid relation;
	const TypeChange *changes;
	int n;
	bool rewrites; // of any of them
};

const TypeChange *find_change(const Changes &changes, Oid relation, AttrNumber attnum)
{
	for (int i = 0; relation == changes.relation && i < changes.n; i++) {
		if (changes.changes[i].old.number == attnum)
			return &changes.changes[i];
	}
	return nullptr;
}

// ---------------------------------------------------------------- indexes

// One that the deparsed definition does not name is chosen anew.
Oid new_opclass(Oid opclass, Oid method, const TypeChange &change)
{
	return GetDefaultOpClass(change.old.type, method) == opclass
			   ? GetDefaultOpClass(change.type, method)
			   : opclass;
}

bool is_compatible(Oid opclass, Oid collation, Oid method, const TypeChange &change)
{
	Oid opclass_now = new_opclass(opclass, method, change);
	bool is_explicit = OidIsValid(collation) && collation != change.old.collation;
	Oid collation_now = is_explicit || !OidIsValid(collation) ? collation : change.collation;
	if (opclass_now != opclass || collation_now != collation)
		return false;
	return !IsPolymorphicType(get_opclass_input_type(opclass)) || change.type == change.old.type;
}

const oidvector *read_vector(HeapTuple tuple, int attribute)
{
	bool is_null;
	Datum value = SysCacheGetAttr(INDEXRELID, tuple, attribute, &is_null);
	return reinterpret_cast<const oidvector *>(DatumGetPointer(value));
}

// CheckIndexCompatible().  Operators of an exclusion constraint are taken for changed as soon as
// the type is another.
bool can_stay(const Changes &changes, HeapTuple tuple, Oid method)
{
	auto *index = reinterpret_cast<Form_pg_index>(GETSTRUCT(tuple));
	if (!heap_attisnull(tuple, Anum_pg_index_indpred, nullptr) ||
		!heap_attisnull(tuple, Anum_pg_index_indexprs, nullptr) || !index->indisvalid)
		return false;
	const oidvector *opclasses = read_vector(tuple, Anum_pg_index_indclass);
	const oidvector *collations = read_vector(tuple, Anum_pg_index_indcollation);
	for (int i = 0; i < index->indnkeyatts; i++) {
		const TypeChange *change = find_change(changes, changes.relation, index->indkey.values[i]);
		if (change == nullptr)
			continue;
		if (!is_compatible(opclasses->values[i], collations->values[i], method, *change) ||
			(index->indisexclusion && change->type != change->old.type))
			return false;
	}
	return true;
}

Oid method_of(Oid index)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(index));
	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	Oid method = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relam;
	ReleaseSysCache(tuple);
	return method;
}

bool is_rebuilt(const Changes &changes, Oid index)
{
	if (get_rel_relkind(index) != RELKIND_INDEX)
		return false; // a partitioned one has nothing to build
	if (get_rel_relispartition(index))
		return true; // it goes with its parent's, which the server makes anew, and its own with it
	HeapTuple tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
	if (!HeapTupleIsValid(tuple))
		return false;
	bool rebuilt = !can_stay(changes, tuple, method_of(index));
	ReleaseSysCache(tuple);
	return rebuilt;
}

// ---------------------------------------------------------------- foreign keys

// findFkeyCast()
CoercionPathType key_cast(Oid target, Oid source, Oid *function)
{
	*function = InvalidOid;
	return target == source ? COERCION_PATH_RELABELTYPE
							: find_coercion_pathway(target, source, COERCION_IMPLICIT, function);
}

bool same_equality(Oid a, Oid b)
{
	return a == b || ((!OidIsValid(a) || get_collation_isdeterministic(a)) &&
					  (!OidIsValid(b) || get_collation_isdeterministic(b)));
}

// What ATAddForeignKeyConstraint() calls old_check_ok, of one pair of columns.
bool key_stays_valid(const Changes &changes, const ConstraintRow *key, int i)
{
	const TypeChange *here = find_change(changes, key->relation, key->keys[i]);
	const TypeChange *there = find_change(changes, key->referenced, key->referenced_keys[i]);
	Oid old_type = here != nullptr ? here->old.type : get_atttype(key->relation, key->keys[i]);
	Oid new_type = here != nullptr ? here->type : old_type;
	Oid referenced_type =
		there != nullptr ? there->type : get_atttype(key->referenced, key->referenced_keys[i]);
	Oid opclass = opclass_of_key(key->index, key->referenced, key->referenced_keys[i]);
	if (there != nullptr && OidIsValid(opclass))
		opclass = new_opclass(opclass, method_of(key->index), *there);
	Oid right = InvalidOid;
	if (!OidIsValid(opclass) ||
		key_operator(opclass, referenced_type, new_type, &right) != key->equal_operators[i])
		return false;
	Oid old_function;
	Oid new_function;
	return key_cast(right, old_type, &old_function) == key_cast(right, new_type, &new_function) &&
		   old_function == new_function && (!IsPolymorphicType(right) || new_type == old_type) &&
		   (here == nullptr || same_equality(here->old.collation, here->collation));
}

bool has_to_be_checked(const Changes &changes, const ConstraintRow *key)
{
	if (!key->is_valid || !key->is_enforced)
		return false;
	if (changes.rewrites || key->equal_operators == nullptr)
		return true;
	for (int i = 0; i < key->n_keys; i++) {
		if (!key_stays_valid(changes, key, i))
			return true;
	}
	return false;
}

// It is dropped and made anew: AccessExclusive on both tables, by RemoveTriggerById().
void analyse_key(const Changes &changes, const ConstraintRow *key)
{
	AlterTable *alter = changes.alter;
	Oid other = key->relation == changes.relation ? key->referenced : key->relation;
	bool is_checked = has_to_be_checked(changes, key);
	Part part = {nullptr, key->name, nullptr, nullptr};
	if (is_checked && key->relation == changes.relation) {
		report(alter, Cause::alter_type_constraint_scan, Effect::scan,
			   list_make1_oid(key->relation), part);
	} else if (is_checked) {
		Finding *finding = add_finding(alter->analysis, Cause::alter_type_constraint_scan,
									   Effect::scan, key->relation, Lock::access_exclusive);
		finding->bytes = heap_bytes(key->relation);
		finding->object = key->name;
	}
	add_referenced(alter->analysis, other, Lock::access_exclusive);
}

// ---------------------------------------------------------------- all of one relation

void analyse_constraint(const Changes &changes, Oid constraint, List **rebuilt)
{
	const ConstraintRow *row = read_constraint(constraint);
	if (row == nullptr)
		return;
	AlterTable *alter = changes.alter;
	bool is_of_parent = !row->is_local && changes.relation != alter->relation;
	if (row->type == CONSTRAINT_FOREIGN) {
		if (!is_of_parent && !OidIsValid(row->parent))
			analyse_key(changes, row);
	} else if (row->type == CONSTRAINT_CHECK) {
		if (row->is_valid && row->is_enforced && !is_of_parent && !changes.rewrites)
			report(alter, Cause::alter_type_constraint_scan, Effect::scan,
				   row->no_inherit || changes.relation != alter->relation
					   ? list_make1_oid(changes.relation)
					   : list_copy(reached_by(alter)),
				   {get_attname(row->relation, row->n_keys > 0 ? row->keys[0] : 0, true), row->name,
					nullptr, nullptr});
	} else if (OidIsValid(row->index) && !changes.rewrites && is_rebuilt(changes, row->index)) {
		*rebuilt = list_append_unique_oid(*rebuilt, row->index);
	}
}

void collect(const Changes &changes, AttrNumber attnum, List **constraints, List **rebuilt)
{
	ListCell *cell;
	foreach (cell, dependents_of(RelationRelationId, changes.relation, attnum)) {
		auto *dependent = static_cast<const DependsOn *>(lfirst(cell));
		Oid object = dependent->object;
		Oid constraint = InvalidOid;
		if (dependent->class_id == ConstraintRelationId)
			constraint = object;
		else if (dependent->class_id == RelationRelationId &&
				 (get_rel_relkind(object) == RELKIND_INDEX ||
				  get_rel_relkind(object) == RELKIND_PARTITIONED_INDEX))
			constraint = get_index_constraint(object);
		else
			continue;
		if (OidIsValid(constraint))
			*constraints = list_append_unique_oid(*constraints, constraint);
		else if (!changes.rewrites && is_rebuilt(changes, object))
			*rebuilt = list_append_unique_oid(*rebuilt, object);
	}
}

} // namespace

List *analyse_type_dependents(AlterTable *alter, Oid relation, const TypeChange *changes, int n)
{
	Changes all = {alter, relation, changes, n, false};
	for (int i = 0; i < n; i++)
		all.rewrites |= changes[i].rewrites;
	List *constraints = NIL;
	List *rebuilt = NIL;
	for (int i = 0; i < n; i++) {
		if (changes[i].old.number != InvalidAttrNumber)
			collect(all, changes[i].old.number, &constraints, &rebuilt);
	}
	ListCell *cell;
	foreach (cell, constraints)
		analyse_constraint(all, lfirst_oid(cell), &rebuilt);
	return rebuilt;
}

} // namespace safe_migrate::statement
