// What the deletion of each kind of object does to relations: see dependents.hpp.  Follows
// doDeletion() and the functions that it calls.
#include "statement/dependents.hpp"

#include "statement/relations.hpp"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/catalog.h"
#include "catalog/index.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/partition.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_ts_config.h"
#include "catalog/pg_ts_dict.h"
#include "catalog/pg_type.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_statistic_ext.h"
#include "catalog/pg_trigger.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
}

namespace safe_migrate::statement {

namespace {

// A kind of object that is part of a relation, which its removal locks.
struct PartKind {
	Oid class_id;
	Oid oid_index;
	AttrNumber oid;
	AttrNumber relation;
	AttrNumber name;
	Lock lock;
};

constexpr PartKind part_kinds[] = {
	// RemoveConstraintById()
	{ConstraintRelationId, ConstraintOidIndexId, Anum_pg_constraint_oid,
	 Anum_pg_constraint_conrelid, Anum_pg_constraint_conname, Lock::access_exclusive},
	// RemoveTriggerById()
	{TriggerRelationId, TriggerOidIndexId, Anum_pg_trigger_oid, Anum_pg_trigger_tgrelid,
	 Anum_pg_trigger_tgname, Lock::access_exclusive},
	// RemoveRewriteRuleById()
	{RewriteRelationId, RewriteOidIndexId, Anum_pg_rewrite_oid, Anum_pg_rewrite_ev_class,
	 Anum_pg_rewrite_rulename, Lock::access_exclusive},
	// RemovePolicyById()
	{PolicyRelationId, PolicyOidIndexId, Anum_pg_policy_oid, Anum_pg_policy_polrelid,
	 Anum_pg_policy_polname, Lock::access_exclusive},
	// RemoveAttrDefaultById()
	{AttrDefaultRelationId, AttrDefaultOidIndexId, Anum_pg_attrdef_oid, Anum_pg_attrdef_adrelid,
	 InvalidAttrNumber, Lock::access_exclusive},
	// RemoveStatisticsById()
	{StatisticExtRelationId, StatisticExtOidIndexId, Anum_pg_statistic_ext_oid,
	 Anum_pg_statistic_ext_stxrelid, Anum_pg_statistic_ext_stxname, Lock::share_update_exclusive},
};

const PartKind *find_part_kind(Oid class_id)
{
	for (const PartKind &kind : part_kinds) {
		if (kind.class_id == class_id)
			return &kind;
	}
	return nullptr;
}

struct Part {
	Oid relation; // InvalidOid: of a domain, or gone
	const char *name;
	const char *column;
	bool is_internal; // a foreign key's trigger
};

Part read_part(const PartKind &kind, Oid object)
{
	Part part = {};
	Relation catalog = table_open(kind.class_id, AccessShareLock);
	ScanKeyData key;
	ScanKeyInit(&key, kind.oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(object));
	SysScanDesc scan = systable_beginscan(catalog, kind.oid_index, true, nullptr, 1, &key);
	HeapTuple tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple)) {
		bool is_null = false;
		TupleDesc desc = RelationGetDescr(catalog);
		part.relation = DatumGetObjectId(heap_getattr(tuple, kind.relation, desc, &is_null));
		if (kind.name != InvalidAttrNumber)
			part.name =
				pstrdup(NameStr(*DatumGetName(heap_getattr(tuple, kind.name, desc, &is_null))));
		else
			part.column = get_attname(
				part.relation, reinterpret_cast<Form_pg_attrdef>(GETSTRUCT(tuple))->adnum, true);
		if (kind.class_id == TriggerRelationId)
			part.is_internal = reinterpret_cast<Form_pg_trigger>(GETSTRUCT(tuple))->tgisinternal;
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return part;
}

struct Deletion {
	Analysis *analysis;
	const Dependents *dependents;
	Cause cause_of_targets;
};

bool goes_too(const Deletion &deletion, Oid relation)
{
	return is_among(*deletion.dependents, RelationRelationId, relation);
}

// A constraint, trigger, rule, policy, default or statistics of a relation that stays.
void add_part(const Deletion &deletion, const PartKind &kind, const Dependent &dependent)
{
	Part part = read_part(kind, dependent.object.objectId);
	if (!OidIsValid(part.relation) || goes_too(deletion, part.relation))
		return;
	if (dependent.automatic || part.is_internal || kind.lock != Lock::access_exclusive) {
		add_lock(deletion.analysis, part.relation, kind.lock);
		return;
	}
	if (dependent.stands_alone()) {
		Finding *finding = add_lock(deletion.analysis, part.relation, kind.lock);
		if (finding != nullptr) {
			finding->is_target = dependent.original;
			finding->object = part.name;
		}
		return;
	}
	Finding *finding = add_finding(deletion.analysis, Cause::drop_cascade, Effect::metadata,
								   part.relation, kind.lock);
	finding->object = part.name;
	finding->column = part.column;
}

// index_drop()
void add_index(const Deletion &deletion, const Dependent &dependent)
{
	Oid index = dependent.object.objectId;
	Oid table = IndexGetRelation(index, true);
	if (!OidIsValid(table) || goes_too(deletion, table))
		return;
	if (dependent.automatic && !dependent.original) {
		add_lock(deletion.analysis, table, Lock::access_exclusive);
		return;
	}
	bool stands_alone = dependent.stands_alone();
	Finding *finding =
		add_finding(deletion.analysis, stands_alone ? Cause::drop_index : Cause::drop_cascade,
					Effect::metadata, table, Lock::access_exclusive);
	finding->is_target = dependent.original;
	finding->object = get_rel_name(index);
	if (!stands_alone || get_rel_relkind(index) != RELKIND_PARTITIONED_INDEX)
		return;
	add_locks(deletion.analysis, with_descendants(table), Lock::access_exclusive);
}

// RemoveAttributeById(), of a table that stays.
void add_column(const Deletion &deletion, const Dependent &dependent)
{
	Oid table = dependent.object.objectId;
	if (goes_too(deletion, table))
		return;
	if (dependent.original) {
		add_lock(deletion.analysis, table, Lock::access_exclusive);
		return;
	}
	char kind = get_rel_relkind(table);
	if (kind == RELKIND_COMPOSITE_TYPE)
		return;
	bool has_rows = kind == RELKIND_RELATION || kind == RELKIND_PARTITIONED_TABLE;
	Finding *finding = add_finding(deletion.analysis, Cause::drop_cascade,
								   has_rows ? Effect::data_loss : Effect::client_break, table,
								   Lock::access_exclusive);
	finding->column =
		get_attname(table, static_cast<AttrNumber>(dependent.object.objectSubId), true);
	if (has_rows)
		finding->bytes = heap_bytes(table);
}

// The parent of a partition that goes, and its default partition: RangeVarCallbackForDropRelation()
// and heap_drop_with_catalog().
void add_parent(const Deletion &deletion, Oid partition)
{
	if (!get_rel_relispartition(partition))
		return;
	Oid parent = get_partition_parent(partition, true);
	if (!OidIsValid(parent) || goes_too(deletion, parent))
		return;
	add_lock(deletion.analysis, parent, Lock::access_exclusive);
	Oid default_partition = get_default_partition_oid(parent);
	if (OidIsValid(default_partition) && default_partition != partition)
		add_lock(deletion.analysis, default_partition, Lock::access_exclusive);
}

bool is_counted_with_parent(const Deletion &deletion, Oid relation)
{
	if (!get_rel_relispartition(relation))
		return false;
	Oid parent = get_partition_parent(relation, true);
	return OidIsValid(parent) && goes_too(deletion, parent);
}

void add_relation(const Deletion &deletion, const Dependent &dependent)
{
	Oid relation = dependent.object.objectId;
	char kind = get_rel_relkind(relation);
	switch (kind) {
		case RELKIND_INDEX:
		case RELKIND_PARTITIONED_INDEX:
			return add_index(deletion, dependent);
		case RELKIND_TOASTVALUE:
		case RELKIND_COMPOSITE_TYPE:
		case '\0':
			return;
		default:
			break;
	}
	add_parent(deletion, relation);
	bool is_table = kind == RELKIND_RELATION || kind == RELKIND_PARTITIONED_TABLE;
	if (is_table ? is_counted_with_parent(deletion, relation) && !dependent.original
				 : dependent.automatic && !dependent.original) {
		add_lock(deletion.analysis, relation, Lock::access_exclusive);
		return;
	}
	Cause cause = is_table					 ? Cause::drop_table
				  : dependent.stands_alone() ? deletion.cause_of_targets
											 : Cause::drop_cascade;
	Finding *finding =
		add_finding(deletion.analysis, cause, is_table ? Effect::data_loss : Effect::client_break,
					relation, Lock::access_exclusive);
	finding->is_target = dependent.original;
	if (is_table)
		finding->bytes = kind == RELKIND_RELATION ? own_heap_bytes(relation) : heap_bytes(relation);
}

// Is the object known to clients by its name?
bool has_clients(Oid class_id)
{
	switch (class_id) {
		case ProcedureRelationId:
		case TypeRelationId:
		case OperatorRelationId:
		case CollationRelationId:
		case TSConfigRelationId:
		case TSDictionaryRelationId:
		case ForeignServerRelationId:
			return true;
		default:
			return false;
	}
}

void add_other(const Deletion &deletion, const Dependent &dependent)
{
	if (!has_clients(dependent.object.classId) || (dependent.automatic && !dependent.original))
		return;
	Finding *finding =
		add_object(deletion.analysis,
				   dependent.stands_alone() ? deletion.cause_of_targets : Cause::drop_cascade,
				   Effect::client_break, &dependent.object);
	finding->is_target = dependent.original;
}

bool is_hidden(Oid relation)
{
	char kind = get_rel_relkind(relation);
	return kind == '\0' || kind == RELKIND_TOASTVALUE || kind == RELKIND_COMPOSITE_TYPE;
}

// Did this transaction create it?  Where it only changed it, an older version of its row of the
// catalog is still there, which no snapshot of ours shows.
bool is_of_this_transaction(const ObjectAddress *object)
{
	ScanKeyData key;
	ScanKeyInit(&key, get_object_attnum_oid(object->classId), BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(object->objectId));
	Relation catalog = table_open(object->classId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(catalog, get_object_oid_index(object->classId), true,
										  SnapshotAny, 1, &key);
	bool is_ours = false;
	bool was_there = false;
	while (HeapTuple version = systable_getnext(scan)) {
		bool ours = TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(version->t_data));
		(ours ? is_ours : was_there) = true;
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return is_ours && !was_there;
}

} // namespace

Oid relation_of_part(Oid class_id, Oid object)
{
	const PartKind *kind = find_part_kind(class_id);
	return kind == nullptr ? InvalidOid : read_part(*kind, object).relation;
}

Finding *add_lock(Analysis *analysis, Oid relation, Lock lock)
{
	Finding *finding = first_finding(analysis->effects, relation);
	if (finding != nullptr) {
		finding->lock = std::max(finding->lock, lock);
		return finding;
	}
	if (is_hidden(relation))
		return nullptr;
	return add_finding(analysis, Cause::lock, Effect::metadata, relation, lock);
}

void add_locks(Analysis *analysis, List *relations, Lock lock)
{
	ListCell *cell;
	foreach (cell, relations)
		add_lock(analysis, lfirst_oid(cell), lock);
}

Finding *add_object(Analysis *analysis, Cause cause, Effect effect, const ObjectAddress *object)
{
	Finding *finding = add_finding(analysis, cause, effect, InvalidOid, Lock::none);
	Oid schema = get_object_namespace(object);
	finding->schema = OidIsValid(schema) ? get_namespace_name(schema) : nullptr;
	finding->object = getObjectDescription(object, true);
	if (OidIsValid(schema) && isAnyTempNamespace(schema))
		finding->exempt = Exempt::temporary;
	else if (object->objectId < FirstNormalObjectId)
		finding->exempt = Exempt::system;
	else if (is_of_this_transaction(object))
		finding->exempt = Exempt::created_here;
	return finding;
}

namespace {

// Goes along, but not under RESTRICT: reportDependentObjects().
bool is_in_the_way(const Dependents &dependents, const Dependent &dependent)
{
	const ObjectAddress &object = dependent.object;
	if (dependent.original || dependent.automatic || dependent.by_wish)
		return false;
	return object.objectSubId == 0 || !is_among(dependents, object.classId, object.objectId);
}

// AcquireDeletionLock(); of an index the lock is on the table before, where it is a target.
void add_lock_of_refused(const Deletion &deletion, const Dependent &dependent)
{
	Oid relation = dependent.object.objectId;
	if (dependent.object.classId != RelationRelationId)
		return;
	char kind = get_rel_relkind(relation);
	if (kind == RELKIND_INDEX || kind == RELKIND_PARTITIONED_INDEX)
		relation = dependent.original ? IndexGetRelation(relation, true) : InvalidOid;
	else if (dependent.original && dependent.object.objectSubId == 0)
		add_parent(deletion, relation);
	Finding *finding = OidIsValid(relation)
						   ? add_lock(deletion.analysis, relation, Lock::access_exclusive)
						   : nullptr;
	if (finding != nullptr)
		finding->is_target |= dependent.original && dependent.object.objectSubId == 0;
}

const char *words_of_refusal(const Dependents &dependents)
{
	const ObjectAddress *target = nullptr;
	if (dependents.owned != nullptr)
		return psprintf("cannot drop %s because another object requires it",
						getObjectDescription(dependents.owned, true));
	for (int i = 0; i < dependents.n; i++) {
		if (!dependents.items[i].original)
			continue;
		if (target != nullptr)
			return "cannot drop desired object(s) because other objects depend on them";
		target = &dependents.items[i].object;
	}
	return psprintf("cannot drop %s because other objects depend on it",
					target != nullptr ? getObjectDescription(target, true) : "it");
}

} // namespace

namespace {

// Nobody else has it, nor drops or adds to what is in it.
bool is_of_this_session(const Dependents &dependents)
{
	for (int i = 0; i < dependents.n; i++) {
		const ObjectAddress &object = dependents.items[i].object;
		if (dependents.items[i].original &&
			(object.classId != RelationRelationId || exemption(object.objectId) == Exempt::no))
			return false;
	}
	return true;
}

// AcquireDeletionLock() of what is no relation.  While the server waits for it, what is in the way
// of the deletion may go, and what goes along may become more.
void add_objects(Analysis *analysis, const Dependents &dependents)
{
	if (!analysis->at_once || is_of_this_session(dependents))
		return;
	auto add = [analysis](const ObjectAddress &object, bool original) {
		if (object.classId != RelationRelationId && !IsSharedRelation(object.classId))
			*append_object(analysis->effects) = {object.classId, object.objectId, true,
												 original ? Right::own : Right::none, InvalidOid};
	};
	for (int i = dependents.n - 1; i >= 0; i--)
		add(dependents.items[i].object, dependents.items[i].original);
	if (dependents.owned != nullptr)
		add(*dependents.owned, true);
}

} // namespace

bool is_refused(Analysis *analysis, const Dependents &dependents, DropBehavior behavior)
{
	if (!analysis->at_once)
		return false;
	bool refused = dependents.owned != nullptr;
	for (int i = 0; i < dependents.n && behavior == DROP_RESTRICT && !refused; i++)
		refused = is_in_the_way(dependents, dependents.items[i]);
	if (!refused)
		return false;
	add_objects(analysis, dependents);
	Deletion deletion = {analysis, &dependents, Cause::lock};
	for (int i = dependents.n - 1; i >= 0; i--)
		add_lock_of_refused(deletion, dependents.items[i]);
	if (dependents.owned != nullptr)
		add_lock_of_refused(deletion, {*dependents.owned, true, false, false});
	analysis->effects->fails = words_of_refusal(dependents);
	return true;
}

void add_deletion(Analysis *analysis, const Dependents &dependents, Cause cause_of_targets)
{
	Deletion deletion = {analysis, &dependents, cause_of_targets};
	add_objects(analysis, dependents);
	for (int i = dependents.n - 1; i >= 0; i--) {
		const Dependent &dependent = dependents.items[i];
		const ObjectAddress &object = dependent.object;
		const PartKind *kind = find_part_kind(object.classId);
		if (kind != nullptr)
			add_part(deletion, *kind, dependent);
		else if (object.classId != RelationRelationId)
			add_other(deletion, dependent);
		else if (object.objectSubId != 0)
			add_column(deletion, dependent);
		else
			add_relation(deletion, dependent);
	}
}

} // namespace safe_migrate::statement
