// See lifetime.hpp.  Follows RemoveTempRelations(), backwards.
#include "statement/lifetime.hpp"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "parser/parse_type.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
}

namespace safe_migrate::statement {

namespace {

bool is_seen(const List *seen, const ObjectAddress &object)
{
	ListCell *cell;
	foreach (cell, seen) {
		auto *other = static_cast<const ObjectAddress *>(lfirst(cell));
		if (other->classId == object.classId && other->objectId == object.objectId)
			return true;
	}
	return false;
}

List *see(List *seen, Oid class_id, Oid object)
{
	const ObjectAddress address = {class_id, object, 0};
	if (object < FirstNormalObjectId || is_seen(seen, address))
		return seen;
	auto *copy = static_cast<ObjectAddress *>(palloc(sizeof(ObjectAddress)));
	*copy = address;
	return lappend(seen, copy);
}

// What it depends on as a whole: what a column of a table depends on takes that column only.
List *see_what_it_needs(List *seen, Relation depend, const ObjectAddress &object)
{
	ScanKeyData keys[3];
	ScanKeyInit(&keys[0], Anum_pg_depend_classid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(object.classId));
	ScanKeyInit(&keys[1], Anum_pg_depend_objid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(object.objectId));
	ScanKeyInit(&keys[2], Anum_pg_depend_objsubid, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(0));
	SysScanDesc scan = systable_beginscan(depend, DependDependerIndexId, true, nullptr, 3, keys);
	HeapTuple tuple;
	while (HeapTupleIsValid(tuple = systable_getnext(scan))) {
		auto *form = reinterpret_cast<Form_pg_depend>(GETSTRUCT(tuple));
		seen = see(seen, form->refclassid, form->refobjid);
	}
	systable_endscan(scan);
	return seen;
}

void add_tie(AlterTable *alter, Oid class_id, Oid object)
{
	ListCell *cell;
	foreach (cell, reached_by(alter))
		analyse_new_tie(alter->analysis, lfirst_oid(cell), alter->lock, class_id, object);
}

} // namespace

bool goes_with_session(Oid class_id, Oid object)
{
	List *seen = see(NIL, class_id, object);
	if (seen == NIL)
		return false;
	bool goes = false;
	Relation depend = table_open(DependRelationId, AccessShareLock);
	for (int i = 0; i < list_length(seen) && !goes; i++) { // the list grows
		const ObjectAddress next = *static_cast<const ObjectAddress *>(list_nth(seen, i));
		goes = next.classId == NamespaceRelationId && isAnyTempNamespace(next.objectId);
		seen = see_what_it_needs(seen, depend, next);
	}
	table_close(depend, AccessShareLock);
	return goes;
}

void analyse_new_tie(Analysis *analysis, Oid relation, Lock lock, Oid class_id, Oid object)
{
	if (!RELKIND_HAS_STORAGE(get_rel_relkind(relation)) || !goes_with_session(class_id, object))
		return;
	const ObjectAddress address = {class_id, object, 0};
	Finding *finding =
		add_finding(analysis, Cause::drop_cascade, Effect::data_loss, relation, lock);
	finding->is_target = true;
	finding->bytes = own_heap_bytes(relation);
	finding->facts = psprintf("the end of the session drops %s, and it goes along",
							  getObjectDescription(&address, true));
}

void analyse_tie_of_table(AlterTable *alter, const AlterTableCmd *command)
{
	if (command->subtype == AT_AddOf) {
		Oid type = typenameTypeId(nullptr, castNode(TypeName, command->def));
		return add_tie(alter, TypeRelationId, type);
	}
	if (command->subtype == AT_AddInherit) {
		Target parent = find_target(alter->analysis, castNode(RangeVar, command->def), false);
		return add_tie(alter, RelationRelationId, parent.relation);
	}
	if (alter->kind != RELKIND_PARTITIONED_TABLE)
		return; // an index
	const RangeVar *name = castNode(PartitionCmd, command->def)->name;
	Target partition = find_target(alter->analysis, name, false);
	ListCell *cell;
	if (OidIsValid(partition.relation))
		foreach (cell, with_descendants(partition.relation))
			analyse_new_tie(alter->analysis, lfirst_oid(cell), Lock::access_exclusive,
							RelationRelationId, alter->relation);
}

void analyse_tie_of_column(AlterTable *alter, const char *column, Oid type, Oid collation)
{
	const int first = alter->analysis->effects->n;
	add_tie(alter, TypeRelationId, type);
	if (alter->analysis->effects->n == first)
		add_tie(alter, CollationRelationId, collation);
	for (int i = first; i < alter->analysis->effects->n; i++)
		alter->analysis->effects->findings[i].column = column;
}

} // namespace safe_migrate::statement
