// See relations.hpp.
#include "statement/relations.hpp"

#include "pg/catalog_scan.hpp"
#include "pg/session_relations.hpp"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/catalog.h"
#include "catalog/dependency.h"
#include "catalog/index.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_inherits.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

namespace safe_migrate::statement {

Target find_target(Analysis *analysis, const RangeVar *name, bool missing_ok)
{
	Target target = {};
	if (analysis->names != nullptr &&
		analysis->names->find(analysis->names, name, missing_ok, &target))
		return target;
	target.relation =
		RangeVarGetRelidExtended(name, NoLock, missing_ok ? RVR_MISSING_OK : 0, nullptr, nullptr);
	if (OidIsValid(target.relation)) {
		target.schema = get_namespace_name(get_rel_namespace(target.relation));
		target.name = get_rel_name(target.relation);
	} else {
		target.schema = name->schemaname;
		target.name = name->relname;
	}
	return target;
}

namespace {

bool in_haste = false;
Oid in_the_way = InvalidOid;

void lock_judged(Oid relation)
{
	if (!in_haste) {
		LockRelationOid(relation, AccessShareLock);
		return;
	}
	if (ConditionalLockRelationOid(relation, AccessShareLock))
		return;
	in_the_way = relation;
	const char *name = get_rel_name(relation);
	ereport(ERROR, (errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					errmsg("could not obtain lock on relation \"%s\"", name ? name : "")));
}

} // namespace

void begin_haste()
{
	in_haste = true;
	in_the_way = InvalidOid;
}

Oid end_of_haste()
{
	in_haste = false;
	return in_the_way;
}

Relation open_judged(Oid relation)
{
	lock_judged(relation);
	Relation opened = try_relation_open(relation, NoLock);
	if (opened == nullptr)
		UnlockRelationOid(relation, AccessShareLock);
	return opened;
}

Relation open_judged_index(Oid index)
{
	lock_judged(index);
	return index_open(index, NoLock);
}

void close_judged(Relation relation) { relation_close(relation, AccessShareLock); }

List *with_descendants(Oid relation)
{
	char kind = get_rel_relkind(relation);
	if (!get_rel_relispartition(relation) && kind != RELKIND_RELATION &&
		kind != RELKIND_PARTITIONED_TABLE && kind != RELKIND_FOREIGN_TABLE &&
		kind != RELKIND_PARTITIONED_INDEX)
		return list_make1_oid(relation);
	return find_all_inheritors(relation, NoLock, nullptr);
}

List *leaves(Oid relation)
{
	List *result = NIL;
	ListCell *cell;
	foreach (cell, with_descendants(relation)) {
		if (RELKIND_HAS_STORAGE(get_rel_relkind(lfirst_oid(cell))))
			result = lappend_oid(result, lfirst_oid(cell));
	}
	return result;
}

namespace {

void add_parents(Relation inherits, Oid relation, List **found)
{
	ScanKeyData key;
	ScanKeyInit(&key, Anum_pg_inherits_inhrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relation));
	SysScanDesc scan =
		systable_beginscan(inherits, InheritsRelidSeqnoIndexId, true, nullptr, 1, &key);
	HeapTuple tuple;
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		*found = list_append_unique_oid(
			*found, reinterpret_cast<Form_pg_inherits>(GETSTRUCT(tuple))->inhparent);
	systable_endscan(scan);
}

} // namespace

List *ancestors(Oid relation)
{
	List *found = NIL;
	Relation inherits = table_open(InheritsRelationId, AccessShareLock);
	add_parents(inherits, relation, &found);
	for (int i = 0; i < list_length(found); i++) // the list grows
		add_parents(inherits, list_nth_oid(found, i), &found);
	table_close(inherits, AccessShareLock);
	return found;
}

List *typed_tables(Oid type)
{
	List *tables = NIL;
	pg::for_each_row_with<FormData_pg_class>(
		RelationRelationId, Anum_pg_class_reloftype, type,
		[&](const FormData_pg_class &row) { tables = lappend_oid(tables, row.oid); });
	list_sort(tables, list_oid_cmp);
	return tables;
}

namespace {

// A relation that this transaction created has a row of this transaction's: only then is a look
// into the relation cache worth its price.
bool is_written_here(Oid relation)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	if (!HeapTupleIsValid(tuple))
		return false;
	bool here = TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetRawXmin(tuple->t_data));
	ReleaseSysCache(tuple);
	return here;
}

} // namespace

namespace {

bool is_created_here(Oid relation)
{
	return pg::is_remembered_relation(relation) ||
		   (is_written_here(relation) && pg::is_session_relation(relation));
}

// A new parent may have been given partitions and children that others use.
bool has_only_new_descendants(Oid relation)
{
	if (!has_subclass(relation))
		return true;
	ListCell *cell;
	foreach (cell, with_descendants(relation)) {
		if (!is_created_here(lfirst_oid(cell)))
			return false;
	}
	return true;
}

} // namespace

Exempt exemption(Oid relation)
{
	if (get_rel_persistence(relation) == RELPERSISTENCE_TEMP)
		return Exempt::temporary;
	if (IsCatalogRelationOid(relation) || IsToastNamespace(get_rel_namespace(relation)))
		return Exempt::system;
	if (is_created_here(relation) && has_only_new_descendants(relation))
		return Exempt::created_here;
	return Exempt::no;
}

Oid table_of_toast(Oid relation)
{
	if (!IsToastNamespace(get_rel_namespace(relation)))
		return InvalidOid;
	if (get_rel_relkind(relation) == RELKIND_INDEX)
		relation = IndexGetRelation(relation, true);
	Oid table = InvalidOid;
	Relation depend = table_open(DependRelationId, AccessShareLock);
	ScanKeyData keys[2];
	ScanKeyInit(&keys[0], Anum_pg_depend_classid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(RelationRelationId));
	ScanKeyInit(&keys[1], Anum_pg_depend_objid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relation));
	SysScanDesc scan = systable_beginscan(depend, DependDependerIndexId, true, nullptr, 2, keys);
	HeapTuple tuple;
	while (HeapTupleIsValid(tuple = systable_getnext(scan))) {
		auto *form = reinterpret_cast<Form_pg_depend>(GETSTRUCT(tuple));
		if (form->refclassid == RelationRelationId && form->deptype == DEPENDENCY_INTERNAL)
			table = form->refobjid;
	}
	systable_endscan(scan);
	table_close(depend, AccessShareLock);
	return table;
}

void judge_as_table(Finding *finding)
{
	const Oid table = table_of_toast(finding->relation);
	if (!OidIsValid(table))
		return;
	finding->exempt = exemption(table);
	if (finding->exempt == Exempt::no && own_heap_bytes(finding->relation) == 0)
		finding->exempt = Exempt::empty;
	finding->facts =
		psprintf("it holds the long values of %s",
				 quote_qualified_identifier(get_namespace_name(get_rel_namespace(table)),
											get_rel_name(table)));
}

bool stands_for_table(char relkind)
{
	return relkind == RELKIND_RELATION || relkind == RELKIND_PARTITIONED_TABLE ||
		   relkind == RELKIND_VIEW || relkind == RELKIND_MATVIEW ||
		   relkind == RELKIND_FOREIGN_TABLE;
}

bool holds_rows_of_others(Oid relation)
{
	ListCell *cell;
	foreach (cell, leaves(relation)) {
		Oid leaf = lfirst_oid(cell);
		if (leaf != relation && exemption(leaf) == Exempt::no && !is_empty(leaf))
			return true;
	}
	return false;
}

bool find_column(Oid relation, const char *name, Column *column)
{
	HeapTuple tuple = SearchSysCacheAttName(relation, name);
	if (!HeapTupleIsValid(tuple))
		return false;
	auto *form = reinterpret_cast<Form_pg_attribute>(GETSTRUCT(tuple));
	*column = {form->attnum,	   form->atttypid,	  form->atttypmod,
			   form->attcollation, form->attnotnull,  form->attgenerated,
			   form->attidentity,  form->attinhcount, form->attislocal};
	ReleaseSysCache(tuple);
	return true;
}

} // namespace safe_migrate::statement
