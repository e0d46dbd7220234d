// Foreign keys of and to a partition that comes or goes.  See partition.hpp.
#include "statement/partition.hpp"

#include "pg/compat_analysis.hpp"
#include "statement/dependents.hpp"
#include "statement/relations.hpp"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_constraint.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

namespace safe_migrate::statement {

namespace {

// The part of pg_constraint that tryAttachPartitionForeignKey() compares.
struct KeyForm {
	FormData_pg_constraint form;
	bool found;
};

KeyForm read_key(Oid constraint)
{
	KeyForm key = {};
	HeapTuple tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	if (!HeapTupleIsValid(tuple))
		return key;
	memcpy(&key.form, GETSTRUCT(tuple), sizeof(key.form));
	key.found = true;
	ReleaseSysCache(tuple);
	return key;
}

bool has_same_columns(const ForeignKeyCacheInfo *own, const ForeignKeyCacheInfo *parents,
					  const AttrMap *map)
{
	if (own->confrelid != parents->confrelid || own->nkeys != parents->nkeys)
		return false;
	for (int i = 0; i < own->nkeys; i++) {
		if (own->conkey[i] != map->attnums[parents->conkey[i] - 1] ||
			own->confkey[i] != parents->confkey[i] || own->conpfeqop[i] != parents->conpfeqop[i])
			return false;
	}
	return true;
}

// The child's own foreign key that becomes a part of the parent's; nullptr where it has none.
const ForeignKeyCacheInfo *find_same_key(List *own_keys, const ForeignKeyCacheInfo *parents,
										 const AttrMap *map, bool *is_valid)
{
	KeyForm wanted = read_key(parents->conoid);
	ListCell *cell;
	foreach (cell, own_keys) {
		auto *own = lfirst_node(ForeignKeyCacheInfo, cell);
		if (!has_same_columns(own, parents, map))
			continue;
		KeyForm key = read_key(own->conoid);
		if (!key.found || OidIsValid(key.form.conparentid) ||
			key.form.condeferrable != wanted.form.condeferrable ||
			key.form.condeferred != wanted.form.condeferred ||
			key.form.confupdtype != wanted.form.confupdtype ||
			key.form.confdeltype != wanted.form.confdeltype ||
			key.form.confmatchtype != wanted.form.confmatchtype)
			continue;
		*is_valid = key.form.convalidated;
		if (*is_valid || pg::attaches_unvalidated_keys)
			return own;
	}
	return nullptr;
}

// One foreign key of the parent: CloneFkReferencing().  An own one of the child that is attached
// loses its triggers on the referenced table, which takes AccessExclusive there.
void add_parents_key(Analysis *analysis, const ForeignKeyCacheInfo *parents, Relation child,
					 List *own_keys, const AttrMap *map)
{
	bool is_valid = false;
	const ForeignKeyCacheInfo *same =
		child == nullptr ? nullptr : find_same_key(own_keys, parents, map, &is_valid);
	add_referenced(analysis, parents->confrelid, Lock::share_row_exclusive);
	if (same != nullptr)
		add_lock(analysis, parents->confrelid, Lock::access_exclusive);
	if (child == nullptr || (same != nullptr && is_valid))
		return;
	KeyForm key = read_key(parents->conoid);
	if (!key.form.convalidated && pg::attaches_unvalidated_keys)
		return;
	Oid table = RelationGetRelid(child);
	Finding *finding = add_finding(analysis, Cause::attach_partition_foreign_key, Effect::scan,
								   table, Lock::access_exclusive);
	finding->bytes = heap_bytes(table);
	finding->object = get_constraint_name(parents->conoid);
	finding->facts = psprintf("it would be checked against %s", get_rel_name(parents->confrelid));
}

// The tables that refer to this one by a foreign key that is `wanted`.
List *referencing_tables(Oid referenced, bool (*wanted)(const FormData_pg_constraint *))
{
	List *tables = NIL;
	Relation catalog = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData key[2];
	ScanKeyInit(&key[0], Anum_pg_constraint_confrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(referenced));
	ScanKeyInit(&key[1], Anum_pg_constraint_contype, BTEqualStrategyNumber, F_CHAREQ,
				CharGetDatum(CONSTRAINT_FOREIGN));
	SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, nullptr, 2, key);
	HeapTuple tuple;
	while (HeapTupleIsValid(tuple = systable_getnext(scan))) {
		auto *form = reinterpret_cast<Form_pg_constraint>(GETSTRUCT(tuple));
		if (wanted(form))
			tables = list_append_unique_oid(tables, form->conrelid);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	list_sort(tables, list_oid_cmp); // no accident of where the rows lie
	return tables;
}

bool is_top(const FormData_pg_constraint *form) { return !OidIsValid(form->conparentid); }

bool is_part(const FormData_pg_constraint *form) { return OidIsValid(form->conparentid); }

} // namespace

void add_referenced(Analysis *analysis, Oid referenced, Lock lock)
{
	if (get_rel_relkind(referenced) == RELKIND_PARTITIONED_TABLE)
		add_locks(analysis, with_descendants(referenced), lock);
	else
		add_lock(analysis, referenced, lock);
}

void add_keys_of_parent(Analysis *analysis, Relation parent, Relation child)
{
	// CloneFkReferenced()
	add_locks(analysis, referencing_tables(RelationGetRelid(parent), is_top),
			  Lock::share_row_exclusive);
	List *parents_keys = copyObject(RelationGetFKeyList(parent));
	if (parents_keys == NIL)
		return;
	List *own_keys = child == nullptr ? NIL : copyObject(RelationGetFKeyList(child));
	AttrMap *map = child == nullptr
					   ? nullptr
					   : pg::attribute_map(RelationGetDescr(child), RelationGetDescr(parent));
	ListCell *cell;
	foreach (cell, parents_keys)
		add_parents_key(analysis, lfirst_node(ForeignKeyCacheInfo, cell), child, own_keys, map);
}

void add_keys_of_detached(Analysis *analysis, Relation partition)
{
	ListCell *cell;
	foreach (cell, referencing_tables(RelationGetRelid(partition), is_part)) {
		Oid referencing = lfirst_oid(cell);
		// Checked under Share; then the part of the key that refers to the partition is dropped.
		add_lock(analysis, referencing, Lock::access_exclusive);
		Finding *finding = add_finding(analysis, Cause::detach_partition_foreign_key, Effect::scan,
									   referencing, Lock::share);
		finding->bytes = heap_bytes(referencing);
		finding->facts = "its foreign key is checked for rows that refer to the partition";
	}
	foreach (cell, copyObject(RelationGetFKeyList(partition))) {
		auto *key = lfirst_node(ForeignKeyCacheInfo, cell);
		if (OidIsValid(read_key(key->conoid).form.conparentid))
			add_lock(analysis, key->confrelid, Lock::share_row_exclusive);
	}
}

} // namespace safe_migrate::statement
