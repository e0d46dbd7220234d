// estimate_backfill(): what a backfill would take, from blocks that are really written and rolled
// back.  Rows that others hold are passed over, each part of the sample is one short internal
// subtransaction, and the whole ends after a few seconds whatever the fraction.  What it leaves
// behind: dead row versions in the sampled blocks, and what triggers do outside of transactions.
#include <cmath>

#include "operations/backfill/estimate_model.hpp"
#include "operations/backfill/resolve.hpp"
#include "operations/backfill/run_query.hpp"
#include "pg/arguments.hpp"
#include "pg/boundary.hpp"
#include "pg/compat_analysis.hpp"
#include "pg/guc.hpp"
#include "pg/sqlstates.hpp"
#include "pg/transaction.hpp"

extern "C" {
#include "access/sysattr.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_operator_d.h"
#include "catalog/pg_type_d.h"
#include "common/pg_prng.h"
#include "executor/instrument.h"
#include "executor/tuptable.h"
#include "funcapi.h"
#include "nodes/makefuncs.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/timestamp.h"
}

namespace safe_migrate::operations::backfill {

namespace {

constexpr BlockNumber part_blocks = 32;	  // one subtransaction
constexpr BlockNumber least_blocks = 128; // of each leaf, or all that it has
constexpr int longest_ms = 5000;		  // of the whole sample

// One leaf and what its sample gave so far.
struct Sample {
	const Definition *definition;
	Relation leaf;
	BlockNumber first, end; // the part at hand
	SampleCost cost;
	double rows_on_blocks; // alive or not
};

// Queries -------------------------------------------------------------------------------

Node *compare_ctid(Oid op, ItemPointerData tid)
{
	auto *copy = static_cast<ItemPointer>(palloc(sizeof(ItemPointerData)));
	*copy = tid;
	Expr *clause = make_opclause(
		op, BOOLOID, false,
		reinterpret_cast<Expr *>(
			makeVar(1, SelfItemPointerAttributeNumber, TIDOID, -1, InvalidOid, 0)),
		reinterpret_cast<Expr *>(makeConst(TIDOID, -1, InvalidOid, sizeof(ItemPointerData),
										   PointerGetDatum(copy), false, false)),
		InvalidOid, InvalidOid);
	return reinterpret_cast<Node *>(clause);
}

Node *ctid_in(Datum *tids, int n)
{
	ArrayType *array =
		construct_array(tids, n, TIDOID, sizeof(ItemPointerData), false, TYPALIGN_SHORT);
	ScalarArrayOpExpr *any = makeNode(ScalarArrayOpExpr);
	any->opno = TIDEqualOperator;
	any->useOr = true;
	any->args = list_make2(
		makeVar(1, SelfItemPointerAttributeNumber, TIDOID, -1, InvalidOid, 0),
		makeConst(TIDARRAYOID, -1, InvalidOid, -1, PointerGetDatum(array), false, false));
	any->location = -1;
	return reinterpret_cast<Node *>(any);
}

// The definition's statement on this leaf alone.
Query *statement_on_leaf(const Sample &sample)
{
	Query *query = analyse(*sample.definition, sample.leaf);
	auto *rte = linitial_node(RangeTblEntry, query->rtable);
	rte->inh = false;
	rte->rellockmode = RowExclusiveLock;
	return query;
}

void add_condition(Query *query, Node *condition)
{
	query->jointree->quals = reinterpret_cast<Node *>(
		makeBoolExpr(AND_EXPR, list_make2(condition, query->jointree->quals), -1));
}

// SELECT ctid … WHERE ctid in this part AND predicate FOR [NO KEY] UPDATE SKIP LOCKED
Query *locking_query(const Sample &sample)
{
	Query *query = statement_on_leaf(sample);
	query->commandType = CMD_SELECT;
	query->resultRelation = 0;
	query->targetList = list_make1(
		makeTargetEntry(reinterpret_cast<Expr *>(
							makeVar(1, SelfItemPointerAttributeNumber, TIDOID, -1, InvalidOid, 0)),
						1, pstrdup("ctid"), false));
	RowMarkClause *mark = makeNode(RowMarkClause);
	mark->rti = 1;
	mark->strength =
		sample.definition->action == RowAction::update ? LCS_FORNOKEYUPDATE : LCS_FORUPDATE;
	mark->waitPolicy = LockWaitSkip;
	query->rowMarks = list_make1(mark);
	query->hasForUpdate = true;

	ItemPointerData from, to;
	ItemPointerSet(&from, sample.first, 0);
	ItemPointerSet(&to, sample.end, 0);
	add_condition(query, compare_ctid(TIDLessOperator, to));
	add_condition(query, compare_ctid(TIDGreaterEqOperator, from));
	return query;
}

struct TidReceiver {
	DestReceiver base;
	Datum *tids;
	int n, room;
};

bool receive_tid(TupleTableSlot *slot, DestReceiver *self)
{
	auto *receiver = reinterpret_cast<TidReceiver *>(self);
	slot_getallattrs(slot);
	if (receiver->n == receiver->room) {
		receiver->room *= 2;
		receiver->tids =
			static_cast<Datum *>(repalloc(receiver->tids, sizeof(Datum) * receiver->room));
	}
	// The executor's memory is short-lived: the array's context is the right one.
	MemoryContext old = MemoryContextSwitchTo(GetMemoryChunkContext(receiver->tids));
	auto *tid = static_cast<ItemPointer>(palloc(sizeof(ItemPointerData)));
	*tid = *reinterpret_cast<ItemPointer>(DatumGetPointer(slot->tts_values[0]));
	MemoryContextSwitchTo(old);
	receiver->tids[receiver->n++] = PointerGetDatum(tid);
	return true;
}

// Sampling ------------------------------------------------------------------------------

double count_rows(Relation rel, BlockNumber first, BlockNumber end)
{
	double rows = 0;
	for (BlockNumber block = first; block < end; block++) {
		Buffer buffer = ReadBuffer(rel, block);
		LockBuffer(buffer, BUFFER_LOCK_SHARE);
		Page page = BufferGetPage(buffer);
		OffsetNumber last = PageIsNew(page) ? 0 : PageGetMaxOffsetNumber(page);
		for (OffsetNumber i = FirstOffsetNumber; i <= last; i++)
			rows += ItemIdIsNormal(PageGetItemId(page, i)) ? 1 : 0;
		UnlockReleaseBuffer(buffer);
	}
	return rows;
}

// Runs in a subtransaction that always ends by an error, which rolls the writes back.
void write_part(Sample *sample)
{
	TidReceiver found = {};
	found.base = plain_receiver(receive_tid);
	found.room = 64;
	found.tids = static_cast<Datum *>(palloc(sizeof(Datum) * found.room));
	DestReceiver nothing = plain_receiver([](TupleTableSlot *, DestReceiver *) { return true; });

	sample->rows_on_blocks += count_rows(sample->leaf, sample->first, sample->end);
	Query *lock = locking_query(*sample);
	TimestampTz start = GetCurrentTimestamp();
	run_query(lock, &found.base);
	sample->cost.scan_us += static_cast<double>(GetCurrentTimestamp() - start);
	if (found.n > 0) {
		Query *write = statement_on_leaf(*sample);
		add_condition(write, ctid_in(found.tids, found.n));
		const uint64 wal = pgWalUsage.wal_bytes;
		start = GetCurrentTimestamp();
		sample->cost.rows += static_cast<double>(run_query(write, &nothing).written);
		sample->cost.write_us += static_cast<double>(GetCurrentTimestamp() - start);
		sample->cost.wal_bytes += static_cast<double>(pgWalUsage.wal_bytes - wal);
	}
	sample->cost.blocks += sample->end - sample->first;
	ereport(ERROR, (errcode(pg::errcode_roll_back), errmsg("the sample is rolled back")));
}

// A part whose triggers or foreign keys wait for others is left out.
void sample_part(Sample *sample)
{
	const Sample before = *sample;
	ErrorData *error = pg::run_subtransaction([sample] {
		pg::set_local("lock_timeout", "200ms");
		LockRelationOid(RelationGetRelid(sample->leaf), RowExclusiveLock);
		write_part(sample);
	});
	if (error == nullptr || error->sqlerrcode == pg::errcode_roll_back)
		return;
	if (!pg::is_retryable(error))
		ReThrowError(error);
	*sample = before;
}

// Parts spread evenly over the leaf, in an order that is fair wherever it breaks off.
void sample_leaf(Sample *sample, BlockNumber blocks, double fraction, TimestampTz deadline)
{
	constexpr double golden_ratio = 0.6180339887498949;
	double wanted = Max(blocks * fraction, static_cast<double>(least_blocks));
	const bool all = wanted >= blocks;
	double position = all ? 0 : pg_prng_double(&pg_global_prng_state);
	const auto parts =
		static_cast<BlockNumber>(ceil(Min(wanted, static_cast<double>(blocks)) / part_blocks));
	for (BlockNumber i = 0; i < parts; i++) {
		CHECK_FOR_INTERRUPTS();
		sample->first =
			all ? i * part_blocks : static_cast<BlockNumber>(position * (blocks - part_blocks));
		sample->end = Min(sample->first + part_blocks, blocks);
		sample_part(sample);
		if (GetCurrentTimestamp() >= deadline)
			return;
		position += golden_ratio;
		position -= floor(position);
	}
}

double index_blocks(Relation rel)
{
	double blocks = 0;
	ListCell *lc;
	foreach (lc, RelationGetIndexList(rel)) {
		Relation index = index_open(lfirst_oid(lc), AccessShareLock);
		blocks += RelationGetNumberOfBlocks(index);
		index_close(index, AccessShareLock);
	}
	return blocks;
}

void add_leaf(Estimate *total, double *bytes, const Resolved &resolved, const Target &target,
			  Oid leaf, double fraction, TimestampTz deadline)
{
	Relation rel = table_open(leaf, NoLock);
	const BlockNumber blocks = RelationGetNumberOfBlocks(rel);
	Sample sample = {};
	sample.definition = resolved.definition;
	sample.leaf = rel;
	if (blocks > 0)
		sample_leaf(&sample, blocks, fraction, deadline);

	bool blocking = false;
	TableFacts facts = {};
	facts.blocks = blocks;
	facts.indexes = count_indexes(target, leaf, resolved.assigned, &blocking);
	facts.erases = resolved.definition->action == RowAction::erase;
	facts.heap_only_possible = !blocking && !facts.erases;
	if (sample.rows_on_blocks > 0)
		facts.bytes_per_row = BLCKSZ * (blocks + index_blocks(rel)) /
							  (sample.rows_on_blocks * blocks / sample.cost.blocks);
	Estimate estimate = extrapolate(sample.cost, facts);
	total->rows += estimate.rows;
	total->duration_us += estimate.duration_us;
	total->wal_bytes += estimate.wal_bytes;
	total->growth_bytes += estimate.growth_bytes;
	*bytes += static_cast<double>(blocks) * BLCKSZ;
	table_close(rel, NoLock);
}

Datum to_tuple(FunctionCallInfo fcinfo, const Estimate &estimate, double bytes)
{
	TupleDesc desc;
	if (get_call_result_type(fcinfo, nullptr, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	auto *duration = static_cast<Interval *>(palloc0(sizeof(Interval)));
	duration->time = static_cast<TimeOffset>(estimate.duration_us);
	Datum values[] = {Int64GetDatum(static_cast<int64>(rint(estimate.rows))),
					  Int64GetDatum(static_cast<int64>(bytes)), IntervalPGetDatum(duration),
					  Int64GetDatum(static_cast<int64>(estimate.wal_bytes)),
					  Int64GetDatum(static_cast<int64>(estimate.growth_bytes))};
	bool nulls[lengthof(values)] = {};
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

Datum estimate(FunctionCallInfo fcinfo, Oid relation, const Request &request, double fraction)
{
	Target target = open_target(relation, request.action);
	Resolved resolved = resolve(request, target);
	check_assigned_columns(target, resolved.assigned);
	check_row_security(target);
	check_rights(target, request.action, resolved.assigned, resolved.selected);
	if (request.predicate == nullptr)
		check_nullable(resolved, target);

	const TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), longest_ms);
	Estimate total = {};
	double bytes = 0;
	ListCell *lc;
	foreach (lc, target.leaves)
		add_leaf(&total, &bytes, resolved, target, lfirst_oid(lc), fraction, deadline);
	close_target(target);
	return to_tuple(fcinfo, total, bytes);
}

} // namespace

} // namespace safe_migrate::operations::backfill

SAFE_MIGRATE_FUNCTION(safe_migrate_estimate_backfill)
{
	using namespace safe_migrate;
	using namespace safe_migrate::operations::backfill;
	PreventCommandIfReadOnly("estimate_backfill()");
	PreventCommandIfParallelMode("estimate_backfill()");
	pg::refuse_null(fcinfo, 0, "relation");
	pg::refuse_null(fcinfo, 1, "assignments");
	const double fraction = PG_ARGISNULL(3) ? 0.01 : PG_GETARG_FLOAT8(3);
	if (!(fraction > 0 && fraction <= 1))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("sample_fraction must be greater than 0 and at most 1")));
	Request request = {RowAction::update, pg::text_argument(fcinfo, 1),
					   pg::text_argument(fcinfo, 2), true};
	return estimate(fcinfo, PG_GETARG_OID(0), request, fraction);
}
