// See inline.hpp.
#include "operations/backfill/inline.hpp"

#include "operations/backfill/executor_writer.hpp"
#include "pg/guc.hpp"
#include "pg/run_query.hpp"
#include "settings.hpp"

extern "C" {
#include "access/genam.h"
#include "access/relation.h"
#include "access/sysattr.h"
#include "access/xact.h"
#include "catalog/pg_type_d.h"
#include "executor/tuptable.h"
#include "nodes/makefuncs.h"
#include "storage/lmgr.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
}

namespace safe_migrate::operations::backfill {

namespace {

// Looks at the rows that RETURNING gives: (still_matches, primary key…).
struct Receiver {
	DestReceiver base;
	Relation primary_key; // its index, nullptr = none
	int64 still_matching;
	char *sample;	// "(id)=(7)", nullptr = unknown, or the role may not read it
	int written_by; // number of the column with xmin, where only rows of this transaction count
};

bool receive(TupleTableSlot *slot, DestReceiver *self)
{
	auto *receiver = reinterpret_cast<Receiver *>(self);
	slot_getallattrs(slot);
	if (slot->tts_isnull[0] || !DatumGetBool(slot->tts_values[0]))
		return true;
	if (receiver->written_by > 0 && !TransactionIdIsCurrentTransactionId(DatumGetTransactionId(
										slot->tts_values[receiver->written_by])))
		return true;
	if (receiver->still_matching++ == 0 && receiver->primary_key != nullptr)
		receiver->sample = BuildIndexValueDescription(receiver->primary_key, slot->tts_values + 1,
													  slot->tts_isnull + 1);
	return true;
}

Relation open_primary_key(Relation rel)
{
	(void)RelationGetIndexList(rel); // sets rd_pkindex
	return OidIsValid(rel->rd_pkindex) ? index_open(rel->rd_pkindex, AccessShareLock) : nullptr;
}

Receiver make_receiver(Relation root)
{
	Receiver receiver = {};
	receiver.base = pg::plain_receiver(receive);
	receiver.primary_key = open_primary_key(root);
	return receiver;
}

// In RETURNING the columns are those of the new row, as triggers left it.
List *still_matches(const Query *query, const Receiver &receiver, Relation root)
{
	BooleanTest *test = makeNode(BooleanTest);
	test->arg = static_cast<Expr *>(copyObjectImpl(query->jointree->quals));
	test->booltesttype = IS_TRUE;
	test->location = -1;
	List *list = list_make1(
		makeTargetEntry(reinterpret_cast<Expr *>(test), 1, pstrdup("still_matches"), false));
	if (receiver.primary_key == nullptr)
		return list;
	const Form_pg_index index = receiver.primary_key->rd_index;
	for (AttrNumber i = 0; i < index->indnkeyatts; i++) {
		AttrNumber attnum = index->indkey.values[i];
		Form_pg_attribute column = TupleDescAttr(RelationGetDescr(root), attnum - 1);
		Var *key = makeVar(1, attnum, column->atttypid, column->atttypmod, column->attcollation, 0);
		list = lappend(list, makeTargetEntry(reinterpret_cast<Expr *>(key), i + 2,
											 pstrdup(NameStr(column->attname)), false));
	}
	return list;
}

// AFTER triggers have run, which RETURNING was before: the rows of this transaction that match.
void look_again(const Resolved &resolved, Receiver *receiver, Relation root)
{
	auto *query = static_cast<Query *>(copyObjectImpl(resolved.query));
	query->targetList = still_matches(query, *receiver, root);
	query->commandType = CMD_SELECT;
	query->resultRelation = 0;
	receiver->written_by = static_cast<int>(list_length(query->targetList));
	Var *xmin = makeVar(1, MinTransactionIdAttributeNumber, XIDOID, -1, InvalidOid, 0);
	query->targetList = lappend(query->targetList,
								makeTargetEntry(reinterpret_cast<Expr *>(xmin),
												static_cast<AttrNumber>(receiver->written_by + 1),
												pstrdup("xmin"), false));
	(void)pg::run_query(query, &receiver->base);
}

bool any_after_triggers(const Target &target)
{
	bool found = false;
	ListCell *lc;
	foreach (lc, target.relations) {
		Relation rel = relation_open(lfirst_oid(lc), NoLock);
		found = found || has_after_triggers(rel);
		relation_close(rel, NoLock);
	}
	return found;
}

// The errors that the job would end with.
void refuse_matching(const Receiver &receiver)
{
	if (receiver.still_matching == 0)
		return;
	ereport(
		ERROR,
		(errcode(ERRCODE_CHECK_VIOLATION),
		 errmsg_plural(INT64_FORMAT " row would still satisfy the predicate after the assignment",
					   INT64_FORMAT " rows would still satisfy the predicate after the assignment",
					   receiver.still_matching, receiver.still_matching),
		 receiver.sample != nullptr ? errdetail("For example the row with key %s.", receiver.sample)
									: 0,
		 errhint("Look for rows where an expression gives null or the value it had, or where a "
				 "trigger changes it back.")));
}

bool has_before_triggers(const Target &target, RowAction action)
{
	bool found = false;
	ListCell *lc;
	foreach (lc, target.leaves) {
		Relation rel = relation_open(lfirst_oid(lc), NoLock);
		const TriggerDesc *triggers = rel->trigdesc;
		found =
			triggers != nullptr && (action == RowAction::update ? triggers->trig_update_before_row
																: triggers->trig_delete_before_row);
		relation_close(rel, NoLock);
		if (found)
			break;
	}
	return found;
}

void refuse_kept(const pg::RowCounts &counts, const Target &target, RowAction action)
{
	const int64 kept = counts.found - counts.written;
	if (kept <= 0 || !has_before_triggers(target, action))
		return; // without such triggers others have deleted or changed them meanwhile
	ereport(ERROR, (errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
					errmsg_plural("a trigger kept back " INT64_FORMAT " row",
								  "a trigger kept back " INT64_FORMAT " rows", kept, kept),
					errdetail("A BEFORE trigger returned null for them.")));
}

} // namespace

namespace {

bool is_small(int64 blocks) { return blocks * (BLCKSZ / 1024) <= settings::small_table_size; }

} // namespace

bool is_done_inline(const Target &target)
{
	if (settings::inline_mode == INLINE_NEVER)
		return false;
	if (settings::inline_mode == INLINE_ALWAYS)
		return true;
	int64 own = 0;
	if (!is_small(blocks_of_others(target, &own)))
		return false;
	if (!is_small(own))
		ereport(
			NOTICE,
			(errmsg("table \"%s\" is worked on in this transaction, large as it is (" INT64_FORMAT
					" MB)",
					RelationGetRelationName(target.root), own * (BLCKSZ / 1024) / 1024),
			 errdetail("This session created it within the last hour."),
			 errhint("SET safe_migrate.inline = never has a job do it.")));
	return true;
}

int64 run_inline(const Resolved &resolved, const Target &target)
{
	Receiver receiver = make_receiver(target.root);
	auto *query = static_cast<Query *>(copyObjectImpl(resolved.query));
	LockRelationOid(RelationGetRelid(target.root), RowExclusiveLock);
	linitial_node(RangeTblEntry, query->rtable)->rellockmode = RowExclusiveLock;
	if (query->commandType == CMD_UPDATE)
		query->returningList = still_matches(query, receiver, target.root);

	int nest = NewGUCNestLevel();
	if (!resolved.definition->fire_triggers)
		pg::set_in_level("session_replication_role", "replica",
						 superuser() ? PGC_SUSET : PGC_USERSET);
	pg::RowCounts counts = pg::run_query(query, &receiver.base);
	if (receiver.still_matching == 0 && resolved.definition->action == RowAction::update &&
		resolved.definition->fire_triggers && any_after_triggers(target))
		look_again(resolved, &receiver, target.root);
	AtEOXact_GUC(true, nest);
	refuse_matching(receiver);
	refuse_kept(counts, target, resolved.definition->action);
	if (receiver.primary_key != nullptr)
		index_close(receiver.primary_key, AccessShareLock);
	return counts.written;
}

} // namespace safe_migrate::operations::backfill
