// How large relations are: stat() of their files, as pg_relation_size() does it, found by their
// rows of pg_class.  Neither locks nor relation cache entries, of which a parent of a thousand
// partitions would need many thousands.
#include "statement/relations.hpp"

#include "pg/catalog_scan.hpp"
#include "pg/compat_analysis.hpp"

#include <sys/stat.h>

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

namespace safe_migrate::statement {

namespace {

SizeSource size_source = nullptr;
void *size_source_state = nullptr;

// Sums in which one unknown makes all unknown.
int64 plus(int64 a, int64 b) { return a < 0 || b < 0 ? -1 : a + b; }

int64 file_bytes(const char *path)
{
	constexpr int64 segment_bytes = static_cast<int64>(RELSEG_SIZE) * BLCKSZ;
	int64 bytes = 0;
	for (int segment = 0;; segment++) {
		struct stat status;
		const char *file = segment == 0 ? path : psprintf("%s.%d", path, segment);
		if (stat(file, &status) < 0)
			return segment == 0 ? -1 : bytes;
		bytes += status.st_size;
		if (status.st_size < segment_bytes)
			return bytes;
	}
}

struct Files {
	int64 main; // -1 = unknown
	Oid toast;
};

Files files_of(Oid relation)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	if (!HeapTupleIsValid(tuple))
		return {-1, InvalidOid};
	auto *form = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple));
	Files files = {0, form->reltoastrelid};
	Oid tablespace = OidIsValid(form->reltablespace) ? form->reltablespace : MyDatabaseTableSpace;
	if (form->relkind == RELKIND_FOREIGN_TABLE)
		files.main = -1;
	else if (RELKIND_HAS_STORAGE(form->relkind))
		files.main =
			OidIsValid(form->relfilenode) && form->relpersistence != RELPERSISTENCE_TEMP
				? file_bytes(pg::main_fork_path(tablespace, form->relisshared, form->relfilenode))
				: -1;
	ReleaseSysCache(tuple);
	return files;
}

int64 main_bytes(Oid relation) { return files_of(relation).main; }

bool asked_elsewhere(Oid relation, int64 *heap, int64 *indexes)
{
	return size_source != nullptr && size_source(size_source_state, relation, heap, indexes);
}

// The children that are foreign tables have no bytes here, and are left alone.
template <class F> int64 over_leaves(Oid relation, F bytes_of)
{
	if (get_rel_relkind(relation) == RELKIND_FOREIGN_TABLE)
		return bytes_of(relation);
	int64 bytes = 0;
	ListCell *cell;
	foreach (cell, with_descendants(relation)) {
		char kind = get_rel_relkind(lfirst_oid(cell));
		if (RELKIND_HAS_STORAGE(kind) || kind == RELKIND_PARTITIONED_TABLE)
			bytes = plus(bytes, bytes_of(lfirst_oid(cell)));
	}
	return bytes;
}

} // namespace

List *own_indexes(Oid relation)
{
	List *result = NIL;
	if (!get_rel_relispartition(relation) && get_rel_relkind(relation) == RELKIND_FOREIGN_TABLE)
		return NIL;
	Relation catalog = table_open(IndexRelationId, AccessShareLock);
	ScanKeyData key;
	ScanKeyInit(&key, Anum_pg_index_indrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relation));
	SysScanDesc scan = systable_beginscan(catalog, IndexIndrelidIndexId, true, nullptr, 1, &key);
	HeapTuple tuple;
	while (HeapTupleIsValid(tuple = systable_getnext(scan))) {
		auto *form = reinterpret_cast<Form_pg_index>(GETSTRUCT(tuple));
		if (form->indislive)
			result = lappend_oid(result, form->indexrelid);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	// As RelationGetIndexList() does: the scan goes by place in the heap.
	list_sort(result, list_oid_cmp);
	return result;
}

int64 own_heap_bytes(Oid relation)
{
	int64 heap;
	int64 indexes;
	if (asked_elsewhere(relation, &heap, &indexes))
		return heap;
	Files files = files_of(relation);
	return OidIsValid(files.toast) ? plus(files.main, main_bytes(files.toast)) : files.main;
}

int64 own_index_bytes(Oid relation)
{
	int64 heap;
	int64 bytes = 0;
	if (asked_elsewhere(relation, &heap, &bytes))
		return bytes;
	ListCell *cell;
	foreach (cell, own_indexes(relation))
		bytes = plus(bytes, main_bytes(lfirst_oid(cell)));
	return bytes;
}

int count_own_indexes(Oid relation) { return list_length(own_indexes(relation)); }

int64 heap_bytes(Oid relation) { return over_leaves(relation, own_heap_bytes); }

int64 indexes_bytes(Oid relation) { return over_leaves(relation, own_index_bytes); }

int64 heap_and_index_bytes(Oid relation)
{
	return plus(heap_bytes(relation), indexes_bytes(relation));
}

int count_indexes(Oid relation)
{
	int count = 0;
	ListCell *cell;
	foreach (cell, leaves(relation))
		count += count_own_indexes(lfirst_oid(cell));
	return count;
}

bool is_empty(Oid relation)
{
	char kind = get_rel_relkind(relation);
	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE && kind != RELKIND_MATVIEW)
		return false;
	int64 heap;
	int64 indexes;
	if (kind != RELKIND_PARTITIONED_TABLE && asked_elsewhere(relation, &heap, &indexes))
		return heap == 0;
	ListCell *cell;
	foreach (cell, with_descendants(relation)) {
		Oid member = lfirst_oid(cell);
		char its = get_rel_relkind(member);
		if (asked_elsewhere(member, &heap, &indexes)
				? heap != 0
				: RELKIND_HAS_STORAGE(its) && main_bytes(member) != 0)
			return false;
	}
	return true;
}

bool has_rows_elsewhere(Oid relation)
{
	int64 heap;
	int64 indexes;
	return get_rel_relkind(relation) == RELKIND_PARTITIONED_TABLE &&
		   asked_elsewhere(relation, &heap, &indexes) && heap != 0;
}

List *tables_with_rows_elsewhere()
{
	List *tables = NIL;
	if (size_source == nullptr)
		return NIL;
	pg::for_each_row<FormData_pg_class>(RelationRelationId, [&](const FormData_pg_class &row) {
		if (has_rows_elsewhere(row.oid))
			tables = lappend_oid(tables, row.oid);
	});
	list_sort(tables, list_oid_cmp);
	return tables;
}

void use_sizes(SizeSource source, void *state)
{
	size_source = source;
	size_source_state = state;
}

} // namespace safe_migrate::statement
