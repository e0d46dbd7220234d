// Deferred, sorted insertion of index entries; what is inserted follows
// ExecInsertIndexTuples().
#include "operations/backfill/index_batch.hpp"
#include "operations/backfill/wal_pieces.hpp"
#include "pg/compat_executor.hpp"

extern "C" {
#include "access/itup.h"
#include "access/sysattr.h"
#include "catalog/pg_am_d.h"
}

namespace safe_migrate::operations::backfill {
namespace {

constexpr int sort_memory_kb = 4096; // per index; beyond that the sort goes to disk

// A version whose key is that of the version it replaces can't bring a duplicate: whoever
// inserts the same key finds the old entry and waits for us.  That holds while all rows
// are in the index, thus not before it is valid.
IndexUniqueCheck uniqueness_check(Relation index, const IndexInfo *info, const Bitmapset *changed)
{
	if (!index->rd_index->indisunique)
		return UNIQUE_CHECK_NO;
	if (!index->rd_index->indisvalid || info->ii_Expressions != NIL || info->ii_Predicate != NIL)
		return UNIQUE_CHECK_YES;
	for (int i = 0; i < info->ii_NumIndexKeyAttrs; i++)
		if (bms_is_member(info->ii_IndexAttrNumbers[i] - FirstLowInvalidHeapAttributeNumber,
						  changed))
			return UNIQUE_CHECK_YES;
	return UNIQUE_CHECK_NO;
}

bool satisfies_predicate(IndexInfo *info, EState *estate, ExprContext *econtext)
{
	if (info->ii_Predicate == NIL)
		return true;
	if (info->ii_PredicateState == nullptr)
		info->ii_PredicateState = ExecPrepareQual(info->ii_Predicate, estate);
	return ExecQual(info->ii_PredicateState, econtext);
}

void defer(IndexBatch &batch, IndexTarget &target, ItemPointer tid, Datum *values, bool *nulls)
{
	if (target.sorted == nullptr) {
		MemoryContext caller = MemoryContextSwitchTo(batch.estate->es_query_cxt);
		target.sorted = tuplesort_begin_index_btree(batch.table, target.index, false, false,
													sort_memory_kb, nullptr, TUPLESORT_NONE);
		MemoryContextSwitchTo(caller);
	}
	tuplesort_putindextuplevalues(target.sorted, target.index, tid, values, nulls);
	batch.pending++;
}

void insert_sorted(IndexBatch &batch, IndexTarget &target)
{
	Datum values[INDEX_MAX_KEYS];
	bool nulls[INDEX_MAX_KEYS];
	TupleDesc desc = RelationGetDescr(target.index);
	ExprContext *econtext = GetPerTupleExprContext(batch.estate);

	tuplesort_performsort(target.sorted);
	while (IndexTuple tuple = tuplesort_getindextuple(target.sorted, true)) {
		CHECK_FOR_INTERRUPTS();
		ResetExprContext(econtext);
		MemoryContext caller = MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
		index_deform_tuple(tuple, desc, values, nulls);
		index_insert(target.index, values, nulls, &tuple->t_tid, batch.table, target.check, false,
					 target.info);
		MemoryContextSwitchTo(caller);
		flush_wal_piece();
	}
	tuplesort_end(target.sorted);
	target.sorted = nullptr;
}

} // namespace

void begin(IndexBatch &batch, ResultRelInfo *result, EState *estate, const Bitmapset *changed,
		   bool defer)
{
	batch.table = result->ri_RelationDesc;
	batch.estate = estate;
	batch.pending = 0;
	batch.n_targets = 0;
	batch.targets =
		static_cast<IndexTarget *>(palloc0(sizeof(IndexTarget) * Max(result->ri_NumIndices, 1)));
	for (int i = 0; i < result->ri_NumIndices; i++) {
		Relation index = result->ri_IndexRelationDescs[i];
		IndexInfo *info = result->ri_IndexRelationInfo[i];
		if (index == nullptr || !info->ii_ReadyForInserts)
			continue;
		IndexTarget &target = batch.targets[batch.n_targets++];
		target.index = index;
		target.info = info;
		target.check = uniqueness_check(index, info, changed);
		target.deferred = defer && index->rd_rel->relam == BTREE_AM_OID;
	}
}

void add_entries(IndexBatch &batch, TupleTableSlot *slot, bool summarizing_only)
{
	Datum values[INDEX_MAX_KEYS];
	bool nulls[INDEX_MAX_KEYS];
	ExprContext *econtext = GetPerTupleExprContext(batch.estate);

	econtext->ecxt_scantuple = slot;
	for (int i = 0; i < batch.n_targets; i++) {
		IndexTarget &target = batch.targets[i];
		if (summarizing_only && !pg::is_summarizing(target.info))
			continue;
		if (!satisfies_predicate(target.info, batch.estate, econtext))
			continue;
		FormIndexDatum(target.info, slot, batch.estate, values, nulls);
		if (target.deferred)
			defer(batch, target, &slot->tts_tid, values, nulls);
		else
			index_insert(target.index, values, nulls, &slot->tts_tid, batch.table, target.check,
						 false, target.info);
	}
}

void flush(IndexBatch &batch)
{
	for (int i = 0; i < batch.n_targets; i++)
		if (batch.targets[i].sorted != nullptr)
			insert_sorted(batch, batch.targets[i]);
	batch.pending = 0;
}

} // namespace safe_migrate::operations::backfill
