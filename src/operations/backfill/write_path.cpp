// What has a say in a change of a row: mirrors TriggerEnabled() and
// RI_FKey_pk_upd_check_required(), RI_FKey_fk_upd_check_required().
#include "operations/backfill/write_path.hpp"
#include "pg/compat_executor.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/sysattr.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "utils/array.h"
#include "utils/syscache.h"
}

namespace safe_migrate::operations::backfill {
namespace {

bool fires_in_role(const Trigger *trigger, bool replica)
{
	if (trigger->tgenabled == TRIGGER_DISABLED)
		return false;
	return trigger->tgenabled != (replica ? TRIGGER_FIRES_ON_ORIGIN : TRIGGER_FIRES_ON_REPLICA);
}

bool any_changed(const int16 *attnums, int n, const Bitmapset *changed)
{
	for (int i = 0; i < n; i++)
		if (bms_is_member(attnums[i] - FirstLowInvalidHeapAttributeNumber, changed))
			return true;
	return false;
}

// Does the foreign key of an RI trigger have to be looked at after an UPDATE of `changed`?
bool key_is_changed(const Trigger *trigger, bool referenced_side, const Bitmapset *changed)
{
	HeapTuple tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(trigger->tgconstraint));
	bool is_null;

	if (!HeapTupleIsValid(tuple))
		return true;
	Datum keys = SysCacheGetAttr(
		CONSTROID, tuple, referenced_side ? Anum_pg_constraint_confkey : Anum_pg_constraint_conkey,
		&is_null);
	bool result = true;
	if (!is_null) {
		ArrayType *array = DatumGetArrayTypeP(keys);
		result = any_changed(reinterpret_cast<int16 *>(ARR_DATA_PTR(array)), ARR_DIMS(array)[0],
							 changed);
	}
	ReleaseSysCache(tuple);
	return result;
}

bool update_fires(const Trigger *trigger, const LeafColumns &columns)
{
	if (!TRIGGER_FOR_UPDATE(trigger->tgtype))
		return false;
	if (trigger->tgnattr > 0 &&
		!any_changed(trigger->tgattr, trigger->tgnattr, columns.changed_set))
		return false;
	switch (RI_FKey_trigger_type(trigger->tgfoid)) {
		case RI_TRIGGER_PK:
			return key_is_changed(trigger, true, columns.changed_set);
		case RI_TRIGGER_FK:
			return key_is_changed(trigger, false, columns.changed_set);
		default:
			return true;
	}
}

// An UPDATE fires the triggers for each statement of the table that it names, and no other's.
bool statement_trigger_fires(const Definition &definition, bool replica)
{
	Relation root = try_relation_open(definition.relation, NoLock);
	bool fires = false;

	if (root == nullptr)
		return false;
	for (int i = 0; root->trigdesc != nullptr && i < root->trigdesc->numtriggers; i++) {
		const Trigger *trigger = &root->trigdesc->triggers[i];
		if (!TRIGGER_FOR_ROW(trigger->tgtype) && fires_in_role(trigger, replica))
			fires = fires || (definition.action == RowAction::erase
								  ? TRIGGER_FOR_DELETE(trigger->tgtype) != 0
								  : TRIGGER_FOR_UPDATE(trigger->tgtype) != 0);
	}
	relation_close(root, NoLock);
	return fires;
}

bool any_trigger_fires(const Definition &definition, const LeafColumns &columns, Relation leaf)
{
	const TriggerDesc *triggers = leaf->trigdesc;
	bool replica =
		!definition.fire_triggers || SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA;
	bool is_root = RelationGetRelid(leaf) == definition.relation;
	if (!is_root && statement_trigger_fires(definition, replica))
		return true;
	for (int i = 0; triggers != nullptr && i < triggers->numtriggers; i++) {
		const Trigger *trigger = &triggers->triggers[i];
		if (!fires_in_role(trigger, replica) || (!is_root && !TRIGGER_FOR_ROW(trigger->tgtype)))
			continue;
		if (definition.action == RowAction::erase ? TRIGGER_FOR_DELETE(trigger->tgtype) != 0
												  : update_fires(trigger, columns))
			return true;
	}
	return false;
}

bool has_delaying_index(Relation leaf)
{
	bool found = false;
	List *indexes = RelationGetIndexList(leaf);
	ListCell *cell;

	foreach (cell, indexes) {
		HeapTuple tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(lfirst_oid(cell)));
		if (!HeapTupleIsValid(tuple))
			continue;
		auto form = reinterpret_cast<Form_pg_index>(GETSTRUCT(tuple));
		found = found || form->indisexclusion || (form->indisunique && !form->indimmediate);
		ReleaseSysCache(tuple);
	}
	list_free(indexes);
	return found;
}

} // namespace

bool can_write_directly(const Definition &definition, const LeafColumns &columns, Relation leaf)
{
	if (any_trigger_fires(definition, columns, leaf) || leaf->rd_rules != nullptr)
		return false;
	return definition.action == RowAction::erase || !has_delaying_index(leaf);
}

bool hot_is_possible(const LeafColumns &columns, Relation leaf)
{
	Bitmapset *blocking = pg::hot_blocking_columns(leaf);
	bool possible = !bms_overlap(blocking, columns.changed_set);

	bms_free(blocking);
	return possible;
}

} // namespace safe_migrate::operations::backfill
