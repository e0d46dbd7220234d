// CALL engine_run(…): a slice from create() to finished, a commit per batch. Without
// columns: rows are erased. With sabotage = n every n-th batch is rolled back.
//
// engine_claim(class, object, sub): the lock that a worker's claim is, until the transaction ends;
// false where somebody else has it.
#include "operations/backfill/slice_runner.hpp"
#include "operations/backfill/slice_state.hpp"
#include "pg/known_objects.hpp"

extern "C" {
#include "catalog/pg_type_d.h"
#include "executor/spi.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "access/relation.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "utils/guc.h"
#include "utils/wait_event.h"
PG_MODULE_MAGIC;
PGDLLEXPORT void _PG_init(void);
PG_FUNCTION_INFO_V1(engine_run);
PGDLLEXPORT Datum engine_run(PG_FUNCTION_ARGS);
PG_FUNCTION_INFO_V1(engine_claim);
PGDLLEXPORT Datum engine_claim(PG_FUNCTION_ARGS);
}

namespace engine = safe_migrate::operations::backfill;

static bool verbose = false;

void _PG_init(void)
{
	DefineCustomBoolVariable("engine.details", "", nullptr, &verbose, false, PGC_USERSET, 0,
							 nullptr, nullptr, nullptr);
}

// The objects that a text refers to, which resolve() finds where a job is queued; none where it is
// wrong, which the engine is to say.
static List *objects_of(Oid relation, const char *text)
{
	char *sql = psprintf("SELECT (%s) FROM %s AS target", text,
						 quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)),
													get_rel_name(relation)));
	List *volatile objects = NIL;
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	BeginInternalSubTransaction(nullptr);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		RawStmt *raw = linitial_node(RawStmt, raw_parser(sql, RAW_PARSE_DEFAULT));
		Query *query = parse_analyze_fixedparams(static_cast<RawStmt *>(copyObjectImpl(raw)), sql,
												 nullptr, 0, nullptr);
		Node *target =
			static_cast<ResTarget *>(linitial(castNode(SelectStmt, raw->stmt)->targetList))->val;
		objects = safe_migrate::pg::known_objects(reinterpret_cast<Node *>(query->targetList),
												  list_make1(target));
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return objects;
}

static engine::Definition *make_definition(FunctionCallInfo fcinfo)
{
	auto *d = static_cast<engine::Definition *>(palloc0(sizeof(engine::Definition)));
	Datum *names = nullptr, *texts = nullptr;
	int n = 0;

	d->relation = PG_GETARG_OID(0);
	d->predicate = text_to_cstring(PG_GETARG_TEXT_PP(6));
	d->fire_triggers = PG_GETARG_BOOL(9);
	if (!PG_ARGISNULL(4)) {
		deconstruct_array(PG_GETARG_ARRAYTYPE_P(4), TEXTOID, -1, false, 'i', &names, nullptr, &n);
		deconstruct_array(PG_GETARG_ARRAYTYPE_P(5), TEXTOID, -1, false, 'i', &texts, nullptr, &n);
	}
	d->action = n == 0 ? engine::RowAction::erase : engine::RowAction::update;
	d->n_assignments = n;
	d->assignments =
		static_cast<engine::Assignment *>(palloc0(sizeof(engine::Assignment) * (n + 1)));
	for (int i = 0; i < n; i++) {
		char *name = TextDatumGetCString(names[i]);
		d->assignments[i] = {get_attnum(d->relation, name), name, TextDatumGetCString(texts[i])};
	}
	Relation rel = relation_open(d->relation, AccessShareLock);
	d->n_columns = RelationGetDescr(rel)->natts;
	d->columns = static_cast<const char **>(palloc0(sizeof(char *) * (d->n_columns + 1)));
	for (int i = 0; i < d->n_columns; i++)
		if (!TupleDescAttr(RelationGetDescr(rel), i)->attisdropped)
			d->columns[i] = pstrdup(NameStr(TupleDescAttr(RelationGetDescr(rel), i)->attname));
	relation_close(rel, AccessShareLock);
	d->objects = objects_of(d->relation, d->predicate);
	for (int i = 0; i < n; i++)
		d->objects = list_concat(d->objects, objects_of(d->relation, d->assignments[i].expression));
	return d;
}

static Oid file_of(Oid leaf)
{
	Relation rel = relation_open(leaf, AccessShareLock);
	Oid file = rel->rd_rel->relfilenode;

	relation_close(rel, AccessShareLock);
	return file;
}

// What the batches of a run came to.
struct Run {
	engine::BatchTotals sum;
	int64 batches, waits, restarts, longest;
	const char *sample;
	TransactionId locked_by;
};

static void add(Run *run, const engine::BatchResult &result, int64 elapsed_us)
{
	engine::BatchTotals *sum = &run->sum;
	sum->rows_matched += result.totals.rows_matched;
	sum->rows_written += result.totals.rows_written;
	sum->rows_hot += result.totals.rows_hot;
	sum->rows_locked += result.totals.rows_locked;
	sum->rows_unmatched += result.totals.rows_unmatched;
	sum->rows_kept += result.totals.rows_kept;
	sum->pages_visited += result.totals.pages_visited;
	run->longest = Max(run->longest, elapsed_us);
	if (result.unmatched_sample)
		run->sample = result.unmatched_sample;
	if (result.locked_by)
		run->locked_by = result.locked_by;
	run->waits += result.end == engine::BatchEnd::wait_horizon;
	run->restarts += result.end == engine::BatchEnd::relation_changed;
}

static void tell(const Run &run, MemoryContext memory)
{
	const engine::BatchTotals &sum = run.sum;
	ereport(NOTICE,
			(errmsg("matched " INT64_FORMAT ", written " INT64_FORMAT ", locked " INT64_FORMAT
					", unmatched " INT64_FORMAT ", kept " INT64_FORMAT,
					sum.rows_matched, sum.rows_written, sum.rows_locked, sum.rows_unmatched,
					sum.rows_kept)));
	if (verbose)
		ereport(NOTICE,
				(errmsg("batches " INT64_FORMAT ", waits " INT64_FORMAT ", restarts " INT64_FORMAT
						", longest " INT64_FORMAT " us, pages " INT64_FORMAT ", hot " INT64_FORMAT
						" (%.1f %%)"
						", locked by %u, unmatched at %s, memory %zu kB",
						run.batches, run.waits, run.restarts, run.longest, sum.pages_visited,
						sum.rows_hot, 100.0 * sum.rows_hot / Max(sum.rows_written, 1),
						run.locked_by, run.sample ? run.sample : "-",
						MemoryContextMemAllocated(memory, true) / 1024)));
}

Datum engine_run(PG_FUNCTION_ARGS)
{
	MemoryContext memory =
		AllocSetContextCreate(TopMemoryContext, "engine_run", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(memory);
	engine::Definition *definition = make_definition(fcinfo);
	Oid leaf = PG_GETARG_OID(1);
	BlockNumber first = PG_GETARG_INT64(2), end = PG_GETARG_INT64(3);
	// (who runs jobs comes again after a lock timeout; here nobody does)
	constexpr int lock_timeout_ms = 30000;
	engine::BatchLimits limits = {PG_GETARG_INT64(7), PG_GETARG_BOOL(8), lock_timeout_ms,
								  PG_GETARG_INT64(11)};
	int sabotage = PG_GETARG_INT32(10);
	MemoryContextSwitchTo(caller);

	Run run = {};
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	SPI_commit();
	engine::SliceRunner *runner =
		engine::create(memory, *definition, leaf, first, end, file_of(leaf));
	for (engine::BatchEnd ended = {}; ended != engine::BatchEnd::finished;) {
		CHECK_FOR_INTERRUPTS();
		engine::BatchClock clock;
		clock.start(0);
		XLogRecPtr before = GetXLogInsertRecPtr();
		engine::BatchResult result = engine::run_batch(runner, limits);
		if (run.batches++ == 0 && limits.wal_piece > 0)
			ereport(NOTICE, (errmsg("WAL was %s before the first commit",
									GetFlushRecPtr(nullptr) > before ? "flushed" : "kept back")));
		if (sabotage > 0 && run.batches % sabotage == 0) {
			SPI_rollback();
			engine::batch_aborted(runner);
			continue;
		}
		SPI_commit();
		engine::batch_committed(runner);
		add(&run, result, clock.elapsed_us());
		ended = result.end;
		if (ended == engine::BatchEnd::wait_horizon) {
			(void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 2,
							PG_WAIT_EXTENSION);
			ResetLatch(MyLatch);
		} else if (ended == engine::BatchEnd::relation_changed) {
			engine::destroy(runner);
			runner = engine::create(memory, *definition, leaf, 0, MaxBlockNumber, file_of(leaf));
		}
	}
	tell(run, memory);
	MemoryContextDelete(memory);
	SPI_finish();
	PG_RETURN_VOID();
}

Datum engine_claim(PG_FUNCTION_ARGS)
{
	LOCKTAG tag;
	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, PG_GETARG_OID(0), static_cast<uint32>(PG_GETARG_INT64(1)),
					   static_cast<uint16>(PG_GETARG_INT32(2)));
	PG_RETURN_BOOL(LockAcquire(&tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL);
}
