// estimate_backfill(): what a backfill would take, from blocks that are really written and rolled
// back.  Rows that others hold are counted and not written, each part of the sample is one short
// internal subtransaction, and the whole ends after a few seconds whatever the fraction.  What it
// leaves behind: dead row versions in the sampled blocks, and what triggers do outside of
// transactions.
#include <cmath>
#include <numeric>

#include "operations/backfill/estimate_model.hpp"
#include "operations/backfill/leaf_columns.hpp"
#include "operations/backfill/resolve.hpp"
#include "operations/backfill/row_lock.hpp"
#include "pg/arguments.hpp"
#include "pg/boundary.hpp"
#include "pg/compat_analysis.hpp"
#include "pg/compat_executor.hpp"
#include "pg/guc.hpp"
#include "pg/run_query.hpp"
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
constexpr int counting_ms = 10000;		  // of counting what is left of a sample of everything
constexpr int64 longest_wait_ms = 200;	  // for a lock, in one part

// One leaf and what its sample gave so far.
struct Sample {
	const Definition *definition;
	Relation leaf;
	TimestampTz deadline;
	LockTupleMode lock, strongest_lock;
	BlockNumber first, end; // the part at hand
	SampleCost cost;
	double rows_on_blocks; // alive or not
	const char *left_out;  // why rows were not written; nullptr = they were
};

// All leaves.
struct Total {
	Estimate estimate;
	double blocks, left_out_blocks;
	int tables, left_out_tables; // those that have blocks
	const char *left_out;		 // why one of them was
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

// What it says of virtual generated columns is of the table that the call names.
void read_as_in_root(const Sample &sample, Query *query, RangeTblEntry *rte)
{
	Oid root_oid = sample.definition->relation;
	if (RelationGetRelid(sample.leaf) == root_oid || !pg::has_virtual_columns(sample.leaf))
		return;
	Relation root = table_open(root_oid, NoLock);
	query->targetList = reinterpret_cast<List *>(pg::expand_virtual_columns_of_root(
		reinterpret_cast<Node *>(query->targetList), rte, root, sample.leaf));
	query->jointree->quals =
		pg::expand_virtual_columns_of_root(query->jointree->quals, rte, root, sample.leaf);
	table_close(root, NoLock);
}

// The definition's statement on this leaf alone.
Query *statement_on_leaf(const Sample &sample)
{
	Query *query = analyse(*sample.definition, sample.leaf);
	auto *rte = linitial_node(RangeTblEntry, query->rtable);
	read_as_in_root(sample, query, rte);
	rte->inh = false;
	rte->rellockmode = RowExclusiveLock;
	return query;
}

void add_condition(Query *query, Node *condition)
{
	query->jointree->quals = reinterpret_cast<Node *>(
		makeBoolExpr(AND_EXPR, list_make2(condition, query->jointree->quals), -1));
}

Query *select_ctid(const Sample &sample)
{
	Query *query = statement_on_leaf(sample);
	query->commandType = CMD_SELECT;
	query->resultRelation = 0;
	query->targetList = list_make1(
		makeTargetEntry(reinterpret_cast<Expr *>(
							makeVar(1, SelfItemPointerAttributeNumber, TIDOID, -1, InvalidOid, 0)),
						1, pstrdup("ctid"), false));
	return query;
}

// SELECT ctid … WHERE ctid in this part AND predicate
Query *finding_query(const Sample &sample)
{
	Query *query = select_ctid(sample);
	ItemPointerData from, to;
	ItemPointerSet(&from, sample.first, 0);
	ItemPointerSet(&to, sample.end, 0);
	add_condition(query, compare_ctid(TIDLessOperator, to));
	add_condition(query, compare_ctid(TIDGreaterEqOperator, from));
	return query;
}

// SELECT ctid … WHERE ctid IN (…) FOR [NO KEY] UPDATE SKIP LOCKED, as strong as writing them needs
Query *locking_query(const Sample &sample, Datum *tids, int n)
{
	Query *query = select_ctid(sample);
	query->jointree->quals = ctid_in(tids, n);
	query->hasSubLinks = false; // they were the predicate's
	RowMarkClause *mark = makeNode(RowMarkClause);
	mark->rti = 1;
	mark->strength = sample.lock == LockTupleExclusive ? LCS_FORUPDATE : LCS_FORNOKEYUPDATE;
	mark->waitPolicy = LockWaitSkip;
	query->rowMarks = list_make1(mark);
	query->hasForUpdate = true;
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

TidReceiver make_tid_receiver()
{
	TidReceiver receiver = {};
	receiver.base = pg::plain_receiver(receive_tid);
	receiver.room = 64;
	receiver.tids = static_cast<Datum *>(palloc(sizeof(Datum) * receiver.room));
	return receiver;
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

// Says what the body waited for where that took too long; all that it did is undone.
template <class F> const char *try_briefly(const Sample &sample, F &&body)
{
	ErrorData *error = pg::try_undone([&] {
		int64 left_ms = (sample.deadline - GetCurrentTimestamp()) / 1000;
		pg::set_local_ms("lock_timeout", Min(Max(left_ms, 10), longest_wait_ms));
		body();
	});
	if (error != nullptr && !pg::is_retryable(error))
		ReThrowError(error);
	return error != nullptr ? error->message : nullptr;
}

const char *find_rows(Sample *sample, TidReceiver *found)
{
	TimestampTz start = GetCurrentTimestamp();
	const char *left_out =
		try_briefly(*sample, [&] { pg::run_query(finding_query(*sample), &found->base); });
	if (left_out != nullptr)
		return left_out;
	sample->cost.scan_us += static_cast<double>(GetCurrentTimestamp() - start);
	sample->cost.blocks += sample->end - sample->first;
	sample->cost.rows_held += found->n; // until they are written
	sample->rows_on_blocks += count_rows(sample->leaf, sample->first, sample->end);
	return nullptr;
}

void write_rows(Sample *sample, const TidReceiver &found)
{
	SampleCost *cost = &sample->cost;
	TidReceiver locked = make_tid_receiver();
	DestReceiver nothing =
		pg::plain_receiver([](TupleTableSlot *, DestReceiver *) { return true; });

	LockRelationOid(RelationGetRelid(sample->leaf), RowExclusiveLock);
	TimestampTz start = GetCurrentTimestamp();
	pg::run_query(locking_query(*sample, found.tids, found.n), &locked.base);
	cost->scan_us += static_cast<double>(GetCurrentTimestamp() - start);
	if (locked.n == 0)
		return;
	Query *write = statement_on_leaf(*sample);
	add_condition(write, ctid_in(locked.tids, locked.n));
	const uint64 wal = pgWalUsage.wal_bytes;
	start = GetCurrentTimestamp();
	cost->rows += static_cast<double>(pg::run_query(write, &nothing).written);
	cost->write_us += static_cast<double>(GetCurrentTimestamp() - start);
	cost->wal_bytes += static_cast<double>(pgWalUsage.wal_bytes - wal);
	cost->rows_held -= locked.n;
}

const char *try_to_write(Sample *sample, const TidReceiver &found)
{
	const SampleCost before = sample->cost;
	const char *left_out = try_briefly(*sample, [&] { write_rows(sample, found); });
	if (left_out != nullptr)
		sample->cost = before;
	return left_out;
}

// Rows whose triggers or foreign keys wait for others are found and not written.
const char *find_and_write(Sample *sample)
{
	TidReceiver found = make_tid_receiver();
	const char *left_out = find_rows(sample, &found);
	if (left_out != nullptr || found.n == 0)
		return left_out;
	left_out = try_to_write(sample, found);
	// a trigger may change a key that others look at, more than what was locked for
	if (left_out != nullptr && sample->lock != sample->strongest_lock) {
		sample->lock = sample->strongest_lock;
		left_out = try_to_write(sample, found);
	}
	return left_out;
}

void sample_part(Sample *sample)
{
	MemoryContext memory =
		AllocSetContextCreate(CurrentMemoryContext, "safe_migrate sample", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(memory);
	const char *left_out = find_and_write(sample);
	MemoryContextSwitchTo(old);
	if (left_out != nullptr)
		sample->left_out = pstrdup(left_out);
	MemoryContextDelete(memory);
}

// Finds the rows of a part and takes them for some that cost what those do that were written.
void count_part(Sample *sample)
{
	MemoryContext memory =
		AllocSetContextCreate(CurrentMemoryContext, "safe_migrate sample", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(memory);
	TidReceiver found = make_tid_receiver();
	(void)find_rows(sample, &found);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(memory);
}

// All parts, in an order that is fair wherever it breaks off: by steps that meet each one once.
void sample_whole_leaf(Sample *sample, BlockNumber blocks, bool counts_rest)
{
	const uint64 parts = (static_cast<uint64>(blocks) + part_blocks - 1) / part_blocks;
	uint64 step = Max(parts * 618 / 1000, UINT64CONST(1));
	while (std::gcd(step, parts) != 1)
		step++;
	const TimestampTz end = TimestampTzPlusMilliseconds(sample->deadline, counting_ms);
	for (uint64 i = 0; i < parts; i++) {
		CHECK_FOR_INTERRUPTS();
		sample->first = static_cast<BlockNumber>(i * step % parts * part_blocks);
		sample->end = Min(sample->first + part_blocks, blocks);
		const TimestampTz now = GetCurrentTimestamp();
		if (i == 0 || now < sample->deadline)
			sample_part(sample);
		else if (counts_rest && now < end)
			count_part(sample);
		else
			return;
	}
}

// Parts spread evenly over the leaf, in an order that is fair wherever it breaks off.
void sample_leaf(Sample *sample, BlockNumber blocks, double fraction)
{
	constexpr double golden_ratio = 0.6180339887498949;
	double wanted = Max(blocks * fraction, static_cast<double>(least_blocks));
	if (wanted >= blocks) {
		sample_whole_leaf(sample, blocks, fraction >= 1);
		return;
	}
	double position = pg_prng_double(&pg_global_prng_state);
	const auto parts = static_cast<BlockNumber>(ceil(wanted / part_blocks));
	for (BlockNumber i = 0; i < parts; i++) {
		CHECK_FOR_INTERRUPTS();
		sample->first = static_cast<BlockNumber>(position * (blocks - part_blocks));
		sample->end = Min(sample->first + part_blocks, blocks);
		sample_part(sample);
		if (GetCurrentTimestamp() >= sample->deadline)
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

Sample begin_sample(const Definition &definition, Relation leaf, TimestampTz deadline)
{
	Sample sample = {};
	const LeafColumns columns = map_columns(definition, leaf);
	const bool erase = definition.action == RowAction::erase;
	const bool triggers = leaf->trigdesc != nullptr && leaf->trigdesc->trig_update_before_row;
	sample.definition = &definition;
	sample.leaf = leaf;
	sample.deadline = deadline;
	sample.lock = lock_mode(leaf, columns, erase, false);
	sample.strongest_lock = lock_mode(leaf, columns, erase, triggers);
	return sample;
}

TableFacts find_facts(const Sample &sample, BlockNumber blocks, const Resolved &resolved)
{
	bool blocking = false;
	TableFacts facts = {};
	facts.blocks = blocks;
	facts.indexes = count_indexes(*resolved.definition, RelationGetRelid(sample.leaf), &blocking);
	facts.erases = resolved.definition->action == RowAction::erase;
	facts.heap_only_possible = !blocking && !facts.erases;
	if (sample.rows_on_blocks > 0)
		facts.bytes_per_row = BLCKSZ * (blocks + index_blocks(sample.leaf)) /
							  (sample.rows_on_blocks * blocks / sample.cost.blocks);
	return facts;
}

void leave_out(Total *total, const Sample &sample, BlockNumber blocks)
{
	total->left_out_blocks += blocks;
	total->left_out_tables++;
	total->left_out =
		sample.left_out != nullptr ? sample.left_out : "all rows that match are locked";
}

void add_leaf(Total *total, const Resolved &resolved, Oid leaf, double fraction,
			  TimestampTz deadline)
{
	Relation rel = table_open(leaf, NoLock);
	const BlockNumber blocks = RelationGetNumberOfBlocks(rel);
	if (blocks > 0) {
		Sample sample = begin_sample(*resolved.definition, rel, deadline);
		sample_leaf(&sample, blocks, fraction);
		total->blocks += blocks;
		total->tables++;
		if (is_known(sample.cost))
			total->estimate = add(total->estimate,
								  extrapolate(sample.cost, find_facts(sample, blocks, resolved)));
		else
			leave_out(total, sample, blocks);
	}
	table_close(rel, NoLock);
}

// Tables that nothing is known of are taken to be like the others.
void complete(Total *total, Relation root)
{
	if (total->left_out_tables == 0)
		return;
	if (total->left_out_tables == total->tables)
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("no row of the sample of table \"%s\" could be written",
						RelationGetRelationName(root)),
				 errdetail("What kept the last part of the sample back: %s.", total->left_out),
				 errhint("Try again when the transactions that hold these locks have ended.")));
	ereport(NOTICE, (errmsg("the estimate is without a sample of %d of %d tables",
							total->left_out_tables, total->tables),
					 errdetail("They are taken to be like the others. What kept the last part of "
							   "the sample back: %s.",
							   total->left_out)));
	total->estimate =
		scale(total->estimate, total->blocks / (total->blocks - total->left_out_blocks));
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
	Total total = {};
	ListCell *lc;
	foreach (lc, target.leaves)
		add_leaf(&total, resolved, lfirst_oid(lc), fraction, deadline);
	complete(&total, target.root);
	close_target(target);
	return to_tuple(fcinfo, total.estimate, total.blocks * BLCKSZ);
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
