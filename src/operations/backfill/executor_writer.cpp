// Rows through the server's executor: everything that an ordinary UPDATE would set off
// happens.
#include "operations/backfill/executor_writer.hpp"
#include "pg/compat_executor.hpp"
#include "pg/own_statement.hpp"

extern "C" {
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "nodes/makefuncs.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type_d.h"
#include "commands/trigger.h"
#include "storage/bufmgr.h"
#include "tcop/dest.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
}

namespace safe_migrate::operations::backfill {
namespace {

constexpr int max_rows = 256;			   // of one statement
constexpr Size most_value_bytes = 4 << 20; // that are given to it

// ---- what RETURNING ctid, (predicate) IS TRUE, tableoid brings

struct Receiver {
	DestReceiver interface;
	ExecutorWriter *writer;
};

void complain_of_match(Oid table, const ItemPointerData &tid)
{
	ereport(ERROR,
			(errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
			 errmsg("row (%u,%u) of table \"%s\" matches the predicate again after it was written",
					ItemPointerGetBlockNumber(&tid), ItemPointerGetOffsetNumber(&tid),
					get_rel_name(table)),
			 errdetail("A trigger changed the row after the new values were assigned."),
			 errhint("Choose a predicate that the trigger does not make true again.")));
}

bool receive(TupleTableSlot *slot, DestReceiver *self)
{
	ExecutorWriter *writer = reinterpret_cast<Receiver *>(self)->writer;

	slot_getallattrs(slot);
	ItemPointerData tid = *reinterpret_cast<ItemPointer>(DatumGetPointer(slot->tts_values[0]));
	Oid table = DatumGetObjectId(slot->tts_values[2]);
	if (DatumGetBool(slot->tts_values[1]))
		complain_of_match(table, tid);
	if (table == RelationGetRelid(writer->leaf))
		writer->written[writer->n_written++] = tid;
	else
		writer->n_moved++;
	return true;
}

void receiver_startup(DestReceiver *, int, TupleDesc) {}

void receiver_done(DestReceiver *) {}

Receiver make_receiver(ExecutorWriter &writer)
{
	return {{receive, receiver_startup, receiver_done, receiver_done, DestNone}, &writer};
}

// ---- running the statement

void set_parameter(ParamListInfo params, int number, ArrayType *array, Oid type)
{
	ParamExternData *param = &params->params[number - 1];
	param->value = PointerGetDatum(array);
	param->isnull = false;
	param->pflags = PARAM_FLAG_CONST;
	param->ptype = type;
}

ParamListInfo row_ids_and_values(const ExecutorWriter &writer)
{
	int n = writer.n_queued;
	Datum *ids = static_cast<Datum *>(palloc(sizeof(Datum) * n));
	ParamListInfo params = makeParamList(writer.values_desc ? 2 : 1);

	for (int i = 0; i < n; i++)
		ids[i] = PointerGetDatum(&writer.queued[i]);
	set_parameter(params, 1,
				  construct_array(ids, n, TIDOID, sizeof(ItemPointerData), false, TYPALIGN_SHORT),
				  TIDARRAYOID);
	if (writer.values_desc)
		set_parameter(params, 2,
					  construct_array(writer.values, n, RECORDOID, -1, false, TYPALIGN_DOUBLE),
					  RECORDARRAYOID);
	return params;
}

TupleDesc desc_of_values(const LeafColumns &columns, Relation leaf)
{
	List *assigned = NIL;
	for (int i = 0; i < columns.n_assigned; i++) {
		AttrNumber attno = columns.assigned[i];
		const FormData_pg_attribute *att = TupleDescAttr(RelationGetDescr(leaf), attno - 1);
		assigned = lappend(assigned,
						   makeVar(1, attno, att->atttypid, att->atttypmod, att->attcollation, 0));
	}
	return BlessTupleDesc(ExecTypeFromExprList(assigned));
}

void keep_values(ExecutorWriter &writer, const RowCandidate &row)
{
	const LeafColumns &columns = writer.query->columns;
	MemoryContext caller = MemoryContextSwitchTo(writer.values_context);
	Datum *values = static_cast<Datum *>(palloc(sizeof(Datum) * columns.n_assigned));
	bool *nulls = static_cast<bool *>(palloc(sizeof(bool) * columns.n_assigned));

	for (int i = 0; i < columns.n_assigned; i++) {
		values[i] = row.values[columns.assigned[i] - 1];
		nulls[i] = row.nulls[columns.assigned[i] - 1];
	}
	HeapTuple record = heap_form_tuple(writer.values_desc, values, nulls);
	writer.values[writer.n_queued] = heap_copy_tuple_as_datum(record, writer.values_desc);
	heap_freetuple(record);
	MemoryContextSwitchTo(caller);
}

// Opens the target's indexes as ExecUpdatePrologue() would, and withholds the hint that an
// entry is a mere new version of a row (index_unchanged_by_update): each would set off a
// bottom-up deletion pass, though the old version is not dead yet.
void withhold_version_hint(QueryDesc *statement)
{
	ResultRelInfo *result = castNode(ModifyTableState, statement->planstate)->resultRelInfo;

	if (!result->ri_RelationDesc->rd_rel->relhasindex || result->ri_IndexRelationDescs != nullptr)
		return;
	MemoryContext caller = MemoryContextSwitchTo(statement->estate->es_query_cxt);
	ExecOpenIndices(result, false);
	MemoryContextSwitchTo(caller);
	for (int i = 0; i < result->ri_NumIndices; i++) {
		IndexInfo *info = result->ri_IndexRelationInfo[i];
		info->ii_CheckedUnchanged = true;
		info->ii_IndexUnchanged = false;
	}
}

void run_statement(ExecutorWriter &writer)
{
	Receiver receiver = make_receiver(writer);
	QueryDesc *statement = CreateQueryDesc(
		writer.query->write_plan, "row change", GetActiveSnapshot(), InvalidSnapshot,
		&receiver.interface, row_ids_and_values(writer), nullptr, 0);

	pg::mark_own_rows(); // a batch is bounded by itself
	ExecutorStart(statement, 0);
	if (!writer.erase)
		withhold_version_hint(statement);
	pg::run_to_end(statement);
	ExecutorFinish(statement);
	ExecutorEnd(statement);
	FreeQueryDesc(statement);
}

bool is_heap_only(Relation leaf, const ItemPointerData &tid)
{
	Buffer buffer = ReadBuffer(leaf, ItemPointerGetBlockNumber(&tid));
	bool result = false;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	Page page = BufferGetPage(buffer);
	OffsetNumber offset = ItemPointerGetOffsetNumber(&tid);
	if (offset <= PageGetMaxOffsetNumber(page)) {
		ItemId item = PageGetItemId(page, offset);
		if (ItemIdIsNormal(item)) {
			auto *tuple = reinterpret_cast<HeapTupleHeader>(PageGetItem(page, item));
			result = HeapTupleHeaderIsHeapOnly(tuple);
		}
	}
	UnlockReleaseBuffer(buffer);
	return result;
}

// AFTER triggers have run: does the last version of any row written match again?
void look_again(ExecutorWriter &writer, const ItemPointerData *written, int n)
{
	RowQuery query = *writer.query;
	RowCandidate row;

	CommandCounterIncrement();
	UpdateActiveSnapshotCommandId();
	start(query);
	TableScanDesc scan = table_beginscan_tid(writer.leaf, GetActiveSnapshot());
	for (int i = 0; i < n; i++) {
		ItemPointerData tid = written[i];
		table_tuple_get_latest_tid(scan, &tid);
		OffsetNumber offset = ItemPointerGetOffsetNumber(&tid);
		scan_page(query, ItemPointerGetBlockNumber(&tid), offset, offset);
		if (next_row(query, &row))
			complain_of_match(RelationGetRelid(writer.leaf), tid);
	}
	table_endscan(scan);
	finish(query);
}

bool is_after_update(const Trigger &trigger)
{
	return !trigger.tgisinternal && TRIGGER_FOR_AFTER(trigger.tgtype) &&
		   TRIGGER_FOR_UPDATE(trigger.tgtype) && trigger.tgenabled != TRIGGER_DISABLED;
}

bool has_deferred_triggers(Relation leaf)
{
	for (int i = 0; leaf->trigdesc != nullptr && i < leaf->trigdesc->numtriggers; i++)
		if (is_after_update(leaf->trigdesc->triggers[i]) &&
			leaf->trigdesc->triggers[i].tgdeferrable)
			return true;
	return false;
}

void keep_to_settle(ExecutorWriter &writer)
{
	Size size = sizeof(ItemPointerData) * static_cast<Size>(writer.n_settled + max_rows);
	writer.settled = static_cast<ItemPointerData *>(
		writer.settled ? repalloc(writer.settled, size)
					   : MemoryContextAlloc(GetMemoryChunkContext(writer.written), size));
	memcpy(writer.settled + writer.n_settled, writer.written,
		   sizeof(ItemPointerData) * static_cast<Size>(writer.n_written));
	writer.n_settled += writer.n_written;
}

// SET CONSTRAINTS ALL IMMEDIATE: what the commit would do is done while it can still be looked at.
void settle(ExecutorWriter &writer)
{
	ConstraintsSetStmt *immediate = makeNode(ConstraintsSetStmt);
	AfterTriggerSetState(immediate);
	CommandCounterIncrement();
	PushCopiedSnapshot(GetActiveSnapshot());
	UpdateActiveSnapshotCommandId();
	look_again(writer, writer.settled, writer.n_settled);
	PopActiveSnapshot();
}

bool root_has_after_triggers(Oid oid)
{
	Relation root = try_relation_open(oid, NoLock);
	bool found = root != nullptr && has_after_triggers(root);

	if (root != nullptr)
		relation_close(root, NoLock);
	return found;
}

bool has_before_triggers(Relation leaf)
{
	return leaf->trigdesc != nullptr && leaf->trigdesc->trig_update_before_row;
}

} // namespace

bool has_after_triggers(Relation leaf)
{
	for (int i = 0; leaf->trigdesc != nullptr && i < leaf->trigdesc->numtriggers; i++)
		if (is_after_update(leaf->trigdesc->triggers[i]))
			return true;
	return false;
}

void begin(ExecutorWriter &writer, Relation leaf, RowQuery &query, bool erase, int first,
		   bool keys_too)
{
	writer = {};
	writer.leaf = leaf;
	writer.query = &query;
	writer.erase = erase;
	begin(writer.lock, leaf, query.columns, erase, keys_too && has_before_triggers(leaf));
	writer.look_again = !erase && (has_after_triggers(leaf) || root_has_after_triggers(query.root));
	writer.settles = !erase && has_deferred_triggers(leaf);
	writer.queued = static_cast<ItemPointerData *>(palloc(sizeof(ItemPointerData) * max_rows));
	writer.written = static_cast<ItemPointerData *>(palloc(sizeof(ItemPointerData) * max_rows));
	writer.limit = first;
	if (query.write_takes_values) {
		writer.values_desc = desc_of_values(query.columns, leaf);
		writer.values_context =
			AllocSetContextCreate(CurrentMemoryContext, "new values", ALLOCSET_DEFAULT_SIZES);
		writer.values = static_cast<Datum *>(palloc(sizeof(Datum) * max_rows));
	}
}

bool queue_row(ExecutorWriter &writer, const RowCandidate &row)
{
	if (!lock_row(writer.lock, row.tid))
		return false;
	if (writer.values_desc)
		keep_values(writer, row);
	writer.queued[writer.n_queued++] = row.tid;
	return true;
}

bool is_full(const ExecutorWriter &writer)
{
	return writer.n_queued >= writer.limit ||
		   (writer.values_desc &&
			MemoryContextMemAllocated(writer.values_context, false) > most_value_bytes);
}

Flushed flush(ExecutorWriter &writer)
{
	Flushed flushed = {};
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "row change", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);

	CommandCounterIncrement();
	PushCopiedSnapshot(GetActiveSnapshot());
	UpdateActiveSnapshotCommandId();
	writer.n_written = writer.n_moved = 0;
	run_statement(writer);
	if (writer.look_again)
		look_again(writer, writer.written, writer.n_written);
	if (writer.settles)
		keep_to_settle(writer);
	PopActiveSnapshot();
	begin_command(writer.lock);
	flushed.written = writer.n_written + writer.n_moved;
	flushed.kept = writer.n_queued - static_cast<int>(flushed.written);
	for (int i = 0; i < writer.n_written && !writer.erase; i++)
		flushed.hot += is_heap_only(writer.leaf, writer.written[i]);
	writer.n_queued = 0;
	if (writer.values_desc)
		MemoryContextReset(writer.values_context);
	writer.limit = Min(2 * writer.limit, max_rows);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return flushed;
}

void finish(ExecutorWriter &writer)
{
	if (writer.n_settled > 0)
		settle(writer);
	finish(writer.lock);
}

} // namespace safe_migrate::operations::backfill
