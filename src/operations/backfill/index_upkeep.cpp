// Costs and chores of a table's indexes.  Merging follows gin_clean_pending_list().
#include "operations/backfill/index_upkeep.hpp"

extern "C" {
#include "access/genam.h"
#include "access/gin_private.h"
#include "access/htup_details.h"
#include "catalog/pg_am_d.h"
#include "catalog/pg_class.h"
#include "utils/relcache.h"
#include "utils/syscache.h"
}

namespace safe_migrate::operations::backfill {
namespace {

Oid access_method(Oid index)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(index));
	Oid result = InvalidOid;

	if (HeapTupleIsValid(tuple)) {
		result = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relam;
		ReleaseSysCache(tuple);
	}
	return result;
}

bool is_half_full(Relation index)
{
	GinStatsData stats;

	if (!GinGetUseFastUpdate(index))
		return false;
	ginGetStats(index, &stats);
	return static_cast<int64>(stats.nPendingPages) * BLCKSZ * 2 >
		   static_cast<int64>(GinGetPendingListCleanupSize(index)) * 1024;
}

} // namespace

double cost_of_move(Relation leaf)
{
	double cost = 0.35; // the heap's part
	List *indexes = RelationGetIndexList(leaf);
	ListCell *cell;

	foreach (cell, indexes) {
		switch (access_method(lfirst_oid(cell))) {
			case BTREE_AM_OID:
			case HASH_AM_OID:
				cost += 0.45;
				break;
			case BRIN_AM_OID:
				cost += 0.1;
				break;
			default: // many keys a row, or costly ones
				cost += 2;
		}
	}
	list_free(indexes);
	return cost;
}

void empty_pending_lists(Relation leaf)
{
	List *indexes = RelationGetIndexList(leaf);
	ListCell *cell;

	foreach (cell, indexes) {
		if (access_method(lfirst_oid(cell)) != GIN_AM_OID)
			continue;
		Relation index = index_open(lfirst_oid(cell), RowExclusiveLock);
		if (index->rd_index->indisready && is_half_full(index)) {
			GinState state;
			initGinState(&state, index);
			ginInsertCleanup(&state, false, true, false, nullptr);
		}
		index_close(index, NoLock);
	}
	list_free(indexes);
}

} // namespace safe_migrate::operations::backfill
