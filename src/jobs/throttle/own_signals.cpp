// What a worker reads for its own job.
#include "jobs/throttle/signals.hpp"

extern "C" {
#include "catalog/pg_type.h"
#include "pgstat.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "utils/array.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"
}

namespace safe_migrate::jobs::throttle {

namespace {

constexpr int most_waiters = 64; // enough to pass any limit one would set
constexpr int64 write_rate_interval_us = 1'000'000;
constexpr int64 write_rate_window_us = 5'000'000;

struct Waiter {
	int pid;
	int n_blockers;
	const int32 *blockers;
	bool behind;
};

// Without a lock: who begins or ends to wait right now is seen the next time.
int find_waiting(Waiter *waiters)
{
	int n = 0;
	for (uint32 i = 0; i < ProcGlobal->allProcCount && n < most_waiters; i++) {
		const volatile PGPROC *process = &ProcGlobal->allProcs[i];
		int pid = process->pid;
		if (pid != 0 && pid != MyProcPid && process->waitStatus == PROC_WAIT_STATUS_WAITING)
			waiters[n++] = {pid, 0, nullptr, false};
	}
	return n;
}

void find_blockers(Waiter *waiter)
{
	Datum found = DirectFunctionCall1(pg_blocking_pids, Int32GetDatum(waiter->pid));
	ArrayType *array = DatumGetArrayTypeP(found);
	waiter->blockers = reinterpret_cast<const int32 *>(ARR_DATA_PTR(array));
	waiter->n_blockers = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
}

bool is_blocked_by(const Waiter &waiter, int pid)
{
	const int32 *end = waiter.blockers + waiter.n_blockers;
	return std::find(waiter.blockers, end, pid) != end;
}

// Marks who waits for `pid`, then who waits for those.
int mark_behind(Waiter *waiters, int n, int pid)
{
	int behind = 0;
	for (int i = 0; i < n; i++) {
		if (waiters[i].behind || !is_blocked_by(waiters[i], pid))
			continue;
		waiters[i].behind = true;
		behind += 1 + mark_behind(waiters, n, waiters[i].pid);
	}
	return behind;
}

int64 rows_written(Oid relation)
{
	const PgStat_StatTabEntry *entry = pgstat_fetch_stat_tabentry(relation);
	if (entry == nullptr)
		return 0;
	return entry->tuples_inserted + entry->tuples_updated + entry->tuples_deleted;
}

} // namespace

int lock_waiters_behind(int pid)
{
	Waiter waiters[most_waiters];
	int n = find_waiting(waiters);
	if (n == 0)
		return 0;
	MemoryContext memory =
		AllocSetContextCreate(CurrentMemoryContext, "throttle waiters", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(memory);
	for (int i = 0; i < n; i++)
		find_blockers(&waiters[i]);
	int behind = mark_behind(waiters, n, pid);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(memory);
	return behind;
}

// A session reports its counters at most once a second, this worker as well: a dip or a bump that
// comes from that is smoothed, and what others wrote never counts less than nothing.
int64 table_writes_per_second(WriteRateState *state, const Oid *relations, int n, int64 own_rows)
{
	int64 now_us = GetCurrentTimestamp();
	int64 elapsed = now_us - state->at_us;
	if (state->at_us != 0 && elapsed < write_rate_interval_us)
		return state->known ? static_cast<int64>(state->rate) : unknown;
	pgstat_clear_snapshot();
	int64 others = -own_rows;
	for (int i = 0; i < n; i++)
		others += rows_written(relations[i]);
	if (state->at_us != 0) {
		double rate =
			static_cast<double>(others - state->others) * 1e6 / static_cast<double>(elapsed);
		double weight =
			static_cast<double>(elapsed) / static_cast<double>(elapsed + write_rate_window_us);
		state->rate += (state->known ? weight : 1) * (rate - state->rate);
		state->known = true;
	}
	state->others = others;
	state->at_us = now_us;
	return state->known ? std::max<int64>(static_cast<int64>(state->rate), 0) : unknown;
}

} // namespace safe_migrate::jobs::throttle
