// DROP and TRUNCATE, with what goes along.  Follows RemoveRelations(), RemoveObjects(),
// shdepDropOwned() and ExecuteTruncate().
#include "statement/dependents.hpp"
#include "statement/drop.hpp"
#include "statement/relations.hpp"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/catalog.h"
#include "catalog/heap.h"
#include "catalog/index.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/dependency.h"
#include "catalog/pg_shdepend.h"
#include "commands/user.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
}

namespace safe_migrate::statement {

namespace {

struct Targets {
	ObjectAddress *objects;
	int n;
};

Targets room_for(int n)
{
	return {static_cast<ObjectAddress *>(palloc(sizeof(ObjectAddress) * (n + 1))), 0};
}

bool is_relation_kind(ObjectType type)
{
	switch (type) {
		case OBJECT_TABLE:
		case OBJECT_INDEX:
		case OBJECT_SEQUENCE:
		case OBJECT_VIEW:
		case OBJECT_MATVIEW:
		case OBJECT_FOREIGN_TABLE:
			return true;
		default:
			return false;
	}
}

// The names of relations: ExecDropStmt().
Targets find_relations(Analysis *analysis, const DropStmt *statement)
{
	Targets targets = room_for(list_length(statement->objects));
	ListCell *cell;
	foreach (cell, statement->objects) {
		const RangeVar *name = makeRangeVarFromNameList(lfirst_node(List, cell));
		Target target = find_target(analysis, name, statement->missing_ok);
		if (OidIsValid(target.relation))
			targets.objects[targets.n++] = {RelationRelationId, target.relation, 0};
	}
	return targets;
}

Targets find_objects(const DropStmt *statement)
{
	Targets targets = room_for(list_length(statement->objects));
	ListCell *cell;
	foreach (cell, statement->objects) {
		ObjectAddress object = find_object(statement->removeType, static_cast<Node *>(lfirst(cell)),
										   statement->missing_ok);
		if (OidIsValid(object.objectId))
			targets.objects[targets.n++] = object;
	}
	return targets;
}

// DROP INDEX CONCURRENTLY: neither the table nor the index is locked strongly before nobody uses
// the index any more.
void drop_concurrently(Analysis *analysis, const Targets &targets)
{
	for (int i = 0; i < targets.n; i++) {
		Oid index = targets.objects[i].objectId;
		Oid table = IndexGetRelation(index, true);
		if (!OidIsValid(table))
			continue;
		Finding *finding = add_finding(analysis, Cause::drop_index, Effect::metadata, table,
									   Lock::share_update_exclusive);
		finding->is_target = true;
		finding->object = get_rel_name(index);
	}
}

int compare_owned(const ListCell *a, const ListCell *b)
{
	auto *left = static_cast<const FormData_pg_shdepend *>(lfirst(a));
	auto *right = static_cast<const FormData_pg_shdepend *>(lfirst(b));
	if (left->objid != right->objid)
		return left->objid < right->objid ? -1 : 1;
	return left->classid < right->classid ? -1 : (left->classid > right->classid ? 1 : 0);
}

// What pg_shdepend says of roles in this database, the oldest object first.
template <class F> void each_owned(const List *roles, F use)
{
	List *rows = NIL;
	Relation catalog = table_open(SharedDependRelationId, AccessShareLock);
	ListCell *cell;
	foreach (cell, roles) {
		ScanKeyData key[2];
		ScanKeyInit(&key[0], Anum_pg_shdepend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
					ObjectIdGetDatum(AuthIdRelationId));
		ScanKeyInit(&key[1], Anum_pg_shdepend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
					ObjectIdGetDatum(lfirst_oid(cell)));
		SysScanDesc scan =
			systable_beginscan(catalog, SharedDependReferenceIndexId, true, nullptr, 2, key);
		HeapTuple tuple;
		while (HeapTupleIsValid(tuple = systable_getnext(scan))) {
			auto *row = reinterpret_cast<Form_pg_shdepend>(GETSTRUCT(tuple));
			if (row->dbid != MyDatabaseId)
				continue;
			auto *copy = static_cast<Form_pg_shdepend>(palloc(sizeof(FormData_pg_shdepend)));
			*copy = *row;
			rows = lappend(rows, copy);
		}
		systable_endscan(scan);
	}
	table_close(catalog, AccessShareLock);
	list_sort(rows, compare_owned);
	foreach (cell, rows)
		use(static_cast<Form_pg_shdepend>(lfirst(cell)));
}

} // namespace

ObjectAddress find_object(ObjectType type, Node *name, bool missing_ok)
{
	Relation relation = nullptr;
	ObjectAddress object = get_object_address(type, static_cast<Node *>(copyObjectImpl(name)),
											  &relation, AccessShareLock, missing_ok);
	if (relation != nullptr)
		relation_close(relation, AccessShareLock);
	if (OidIsValid(object.objectId) && object.classId != RelationRelationId) {
		if (IsSharedRelation(object.classId))
			UnlockSharedObject(object.classId, object.objectId, 0, AccessShareLock);
		else
			UnlockDatabaseObject(object.classId, object.objectId, 0, AccessShareLock);
	}
	return object;
}

namespace {

// The way out of the guard is not the guard's to close, whatever its own tables hold.
bool drops_this_extension(const DropStmt *statement)
{
	if (statement->removeType != OBJECT_EXTENSION)
		return false;
	ListCell *cell;
	foreach (cell, statement->objects)
		if (strcmp(strVal(lfirst(cell)), "safe_migrate") == 0)
			return true;
	return false;
}

void drop(Analysis *analysis, const Targets &targets, DropBehavior behavior)
{
	Dependents dependents = find_dependents(targets.objects, targets.n);
	if (!is_refused(analysis, dependents, behavior))
		add_deletion(analysis, dependents, Cause::drop_other);
}

} // namespace

void analyse_drop(Analysis *analysis, const DropStmt *statement)
{
	if (drops_this_extension(statement))
		return;
	Targets targets = is_relation_kind(statement->removeType) ? find_relations(analysis, statement)
															  : find_objects(statement);
	if (statement->concurrent)
		return drop_concurrently(analysis, targets);
	drop(analysis, targets, statement->behavior);
}

namespace {

// DropOwnedObjects() and ReassignOwnedObjects().
void need_roles(Analysis *analysis, const List *roles)
{
	ListCell *cell;
	foreach (cell, roles)
		add_right(analysis, AuthIdRelationId, lfirst_oid(cell), Right::member);
}

} // namespace

void analyse_drop_owned(Analysis *analysis, const DropOwnedStmt *statement)
{
	List *roles = roleSpecsToIds(statement->roles);
	need_roles(analysis, roles);
	int n = 0;
	each_owned(roles, [&n](Form_pg_shdepend) { n++; });
	Targets targets = room_for(n);
	each_owned(roles, [&](Form_pg_shdepend row) {
		if (row->deptype == SHARED_DEPENDENCY_OWNER && targets.n < n)
			targets.objects[targets.n++] = {row->classid, row->objid, row->objsubid};
		else if (row->deptype == SHARED_DEPENDENCY_POLICY)
			add_lock(analysis, relation_of_part(row->classid, row->objid), Lock::access_exclusive);
	});
	drop(analysis, targets, statement->behavior);
}

void analyse_reassign_owned(Analysis *analysis, const ReassignOwnedStmt *statement)
{
	List *roles = roleSpecsToIds(statement->roles);
	need_roles(analysis,
			   lappend_oid(list_copy(roles), get_rolespec_oid(statement->newrole, false)));
	each_owned(roles, [&](Form_pg_shdepend row) {
		if (row->deptype == SHARED_DEPENDENCY_OWNER && row->classid == RelationRelationId &&
			row->objsubid == 0)
			add_lock(analysis, row->objid, Lock::access_exclusive);
	});
}

// The relations that TRUNCATE names, with their descendants, and under CASCADE those that refer to
// them, which are truncated too.
void analyse_truncate(Analysis *analysis, const TruncateStmt *statement)
{
	List *relations = NIL;
	ListCell *cell;
	foreach (cell, statement->relations) {
		auto *name = lfirst_node(RangeVar, cell);
		Target target = find_target(analysis, name, false);
		if (!OidIsValid(target.relation) || list_member_oid(relations, target.relation))
			continue;
		Finding *finding = add_finding(analysis, Cause::truncate, Effect::data_loss,
									   target.relation, Lock::access_exclusive);
		finding->is_target = true;
		finding->bytes = name->inh ? heap_bytes(target.relation) : own_heap_bytes(target.relation);
		if (!name->inh && finding->bytes == 0 && finding->exempt == Exempt::no)
			finding->exempt = Exempt::empty; // whatever its children have
		List *all = name->inh ? with_descendants(target.relation) : list_make1_oid(target.relation);
		add_locks(analysis, all, Lock::access_exclusive);
		relations = list_concat_unique_oid(relations, all);
	}
	while (statement->behavior == DROP_CASCADE && relations != NIL) {
		List *referencing = heap_truncate_find_FKs(relations);
		if (referencing == NIL)
			break;
		foreach (cell, referencing) {
			Finding *finding = add_finding(analysis, Cause::truncate, Effect::data_loss,
										   lfirst_oid(cell), Lock::access_exclusive);
			finding->bytes = own_heap_bytes(lfirst_oid(cell));
		}
		relations = list_concat(relations, referencing);
	}
	foreach (cell, statement->restart_seqs ? relations : NIL) // ResetSequence()
		add_locks(analysis, getOwnedSequences(lfirst_oid(cell)), Lock::access_exclusive);
}

} // namespace safe_migrate::statement
