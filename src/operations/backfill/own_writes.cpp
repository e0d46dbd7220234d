// See own_writes.hpp.
#include "operations/backfill/own_writes.hpp"

#include "pg/sql.hpp"

extern "C" {
#include "catalog/pg_type.h"
#include "utils/array.h"
}

namespace safe_migrate::operations::backfill {

using pg::Arg;

namespace {

Arg arg_xids(const List *xids)
{
	auto *items = static_cast<Datum *>(palloc(sizeof(Datum) * (list_length(xids) + 1)));
	int n = 0;
	ListCell *cell;
	foreach (cell, xids)
		items[n++] = TransactionIdGetDatum(static_cast<TransactionId>(lfirst_oid(cell)));
	ArrayType *array = construct_array(items, n, XIDOID, sizeof(TransactionId), true, TYPALIGN_INT);
	return {XIDARRAYOID, PointerGetDatum(array), false};
}

int compare_xids(const void *a, const void *b)
{
	const TransactionId left = *static_cast<const TransactionId *>(a);
	const TransactionId right = *static_cast<const TransactionId *>(b);
	return left < right ? -1 : left > right ? 1 : 0;
}

// One of the two columns; the callback runs in the caller's memory context.
XidSet load(const Arg *args, const char *statement)
{
	XidSet set = {0, nullptr};
	int room = 1024;
	set.xids = static_cast<TransactionId *>(palloc(sizeof(TransactionId) * room));
	pg::query(statement, args, 2, [&](HeapTuple t, TupleDesc d) {
		if (set.n == room) {
			room *= 2;
			set.xids = static_cast<TransactionId *>(
				repalloc_huge(set.xids, sizeof(TransactionId) * static_cast<Size>(room)));
		}
		set.xids[set.n++] = pg::column_oid(t, d, 1);
	});
	qsort(set.xids, static_cast<size_t>(set.n), sizeof(TransactionId), compare_xids);
	return set;
}

} // namespace

void store_own_writes(jobs::JobId job, int step_no, const List *once, const List *again)
{
	if (once == NIL && again == NIL)
		return;
	const Arg args[] = {pg::arg_int8(job), pg::arg_int4(step_no), arg_xids(once), arg_xids(again)};
	pg::execute("INSERT INTO safe_migrate.own_write (job_id, step_no, once, again)"
				" VALUES ($1, $2, $3, $4)",
				args);
}

void load_own_writes(jobs::JobId job, int step_no, int pass, OwnWrites *writes)
{
	const Arg args[] = {pg::arg_int8(job), pg::arg_int4(step_no)};
	MemoryContextReset(writes->memory);
	MemoryContext caller = MemoryContextSwitchTo(writes->memory);
	writes->pass = 0;
	writes->once = load(args, "SELECT pg_catalog.unnest(once) FROM safe_migrate.own_write"
							  " WHERE job_id = $1 AND step_no = $2");
	writes->again = load(args, "SELECT pg_catalog.unnest(again) FROM safe_migrate.own_write"
							   " WHERE job_id = $1 AND step_no = $2");
	writes->pass = pass;
	MemoryContextSwitchTo(caller);
}

void forget_own_writes(jobs::JobId job, int step_no)
{
	const Arg args[] = {pg::arg_int8(job), pg::arg_int4(step_no)};
	pg::execute("DELETE FROM safe_migrate.own_write WHERE job_id = $1 AND step_no = $2", args);
}

} // namespace safe_migrate::operations::backfill
