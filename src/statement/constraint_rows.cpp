// See constraint_rows.hpp.
#include "statement/constraint_rows.hpp"

#include "pg/compat_alter.hpp"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "utils/array.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

namespace safe_migrate::statement {

namespace {

// The elements of an array column without nulls; nullptr where it is null.
template <class T> const T *read_array(HeapTuple tuple, int attribute, int *n)
{
	bool is_null;
	Datum value = SysCacheGetAttr(CONSTROID, tuple, attribute, &is_null);
	if (is_null)
		return nullptr;
	ArrayType *array = DatumGetArrayTypePCopy(value);
	if (ARR_NDIM(array) != 1)
		return nullptr;
	*n = ARR_DIMS(array)[0];
	return reinterpret_cast<const T *>(ARR_DATA_PTR(array));
}

const ConstraintRow *read_row(HeapTuple tuple)
{
	auto *form = reinterpret_cast<Form_pg_constraint>(GETSTRUCT(tuple));
	auto *row = static_cast<ConstraintRow *>(palloc0(sizeof(ConstraintRow)));
	int ignored;
	row->oid = form->oid;
	row->name = pstrdup(NameStr(form->conname));
	row->type = form->contype;
	row->is_valid = form->convalidated;
	row->is_enforced = pg::is_enforced(form);
	row->is_local = form->conislocal;
	row->no_inherit = form->connoinherit;
	row->n_parents = form->coninhcount;
	row->is_deferrable = form->condeferrable;
	row->is_deferred = form->condeferred;
	row->match = form->confmatchtype;
	row->on_update = form->confupdtype;
	row->on_delete = form->confdeltype;
	row->relation = form->conrelid;
	row->referenced = form->confrelid;
	row->index = form->conindid;
	row->parent = form->conparentid;
	row->keys = read_array<int16>(tuple, Anum_pg_constraint_conkey, &row->n_keys);
	row->referenced_keys = read_array<int16>(tuple, Anum_pg_constraint_confkey, &ignored);
	row->equal_operators = read_array<Oid>(tuple, Anum_pg_constraint_conpfeqop, &ignored);
	return row;
}

} // namespace

const ConstraintRow *read_constraint(Oid constraint)
{
	HeapTuple tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	if (!HeapTupleIsValid(tuple))
		return nullptr;
	const ConstraintRow *row = read_row(tuple);
	ReleaseSysCache(tuple);
	return row;
}

List *constraints_on(Oid relation)
{
	List *rows = NIL;
	Relation catalog = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData key;
	ScanKeyInit(&key, Anum_pg_constraint_conrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relation));
	SysScanDesc scan =
		systable_beginscan(catalog, ConstraintRelidTypidNameIndexId, true, nullptr, 1, &key);
	HeapTuple tuple;
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		rows = lappend(rows, const_cast<ConstraintRow *>(read_row(tuple)));
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return rows;
}

const ConstraintRow *find_constraint(Oid relation, const char *name)
{
	ListCell *cell;
	foreach (cell, constraints_on(relation)) {
		auto *row = static_cast<const ConstraintRow *>(lfirst(cell));
		if (strcmp(row->name, name) == 0)
			return row;
	}
	return nullptr;
}

bool has_key(const ConstraintRow *constraint, AttrNumber attnum)
{
	for (int i = 0; i < constraint->n_keys; i++) {
		if (constraint->keys[i] == attnum)
			return true;
	}
	return false;
}

namespace {

// By age: rows of one referenced object come in the order of where they lie.
int compare_dependents(const ListCell *a, const ListCell *b)
{
	auto *left = static_cast<const DependsOn *>(lfirst(a));
	auto *right = static_cast<const DependsOn *>(lfirst(b));
	if (left->object != right->object)
		return left->object < right->object ? -1 : 1;
	if (left->class_id != right->class_id)
		return left->class_id < right->class_id ? -1 : 1;
	return left->sub_id < right->sub_id ? -1 : (left->sub_id > right->sub_id ? 1 : 0);
}

} // namespace

List *dependents_of(Oid class_id, Oid object, int sub_id)
{
	List *found = NIL;
	Relation catalog = table_open(DependRelationId, AccessShareLock);
	ScanKeyData keys[3];
	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(class_id));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(object));
	ScanKeyInit(&keys[2], Anum_pg_depend_refobjsubid, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(sub_id));
	SysScanDesc scan = systable_beginscan(catalog, DependReferenceIndexId, true, nullptr,
										  sub_id != 0 ? 3 : 2, keys);
	HeapTuple tuple;
	while (HeapTupleIsValid(tuple = systable_getnext(scan))) {
		auto *form = reinterpret_cast<Form_pg_depend>(GETSTRUCT(tuple));
		auto *dependent = static_cast<DependsOn *>(palloc(sizeof(DependsOn)));
		*dependent = {form->classid, form->objid, form->objsubid, form->deptype};
		found = lappend(found, dependent);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	list_sort(found, compare_dependents);
	return found;
}

int16 *attribute_numbers(Oid relation, const List *names)
{
	auto *numbers = static_cast<int16 *>(palloc0(sizeof(int16) * (list_length(names) + 1)));
	int n = 0;
	ListCell *cell;
	foreach (cell, names)
		numbers[n++] = get_attnum(relation, strVal(lfirst(cell)));
	return numbers;
}

} // namespace safe_migrate::statement
