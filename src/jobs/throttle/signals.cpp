// One sample of the server, for all jobs.
#include "jobs/throttle/signals.hpp"

#include "jobs/throttle/replicas.hpp"
#include "pg/compat.hpp"

extern "C" {
#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "catalog/pg_control.h"
#include "common/controldata_utils.h"
#include "storage/fd.h"
#include "storage/lwlock.h"
#include "utils/timestamp.h"
}

namespace safe_migrate::jobs::throttle {

namespace {

constexpr int64 wal_rate_window_us = 2'000'000;
constexpr int64 archive_interval_us = 5'000'000;
constexpr int64 timed_grace_us = 1'000'000;

// Smoothed, so that one burst between two samples is not taken for a rate.
int64 sample_wal_rate(SamplerState *state, uint64 current, int64 now_us)
{
	int64 elapsed = now_us - state->previous_at_us;
	bool first = state->previous_at_us == 0;
	if (!first && elapsed <= 0)
		return static_cast<int64>(state->wal_rate);
	if (!first) {
		double rate =
			static_cast<double>(current - state->previous_lsn) * 1e6 / static_cast<double>(elapsed);
		double weight =
			static_cast<double>(elapsed) / static_cast<double>(elapsed + wal_rate_window_us);
		state->wal_rate += weight * (rate - state->wal_rate);
	}
	state->previous_lsn = current;
	state->previous_at_us = now_us;
	return static_cast<int64>(state->wal_rate);
}

// Files that the archiver has not got to, as pgarch.c finds them; -1 where they can't be read.
int64 count_ready_segments()
{
	DIR *folder = AllocateDir(XLOGDIR "/archive_status");
	if (folder == nullptr)
		return unknown;
	int64 count = 0;
	while (const dirent *entry = ReadDirExtended(folder, XLOGDIR "/archive_status", LOG))
		if (std::string_view(entry->d_name).ends_with(".ready"))
			count++;
	FreeDir(folder);
	return count;
}

// Every few seconds; seldom where the folder is large.
int64 sample_archive_backlog(SamplerState *state, int64 now_us)
{
	if (!XLogArchivingActive())
		return 0;
	if (now_us < state->archive_at_us)
		return state->archive_backlog;
	state->archive_backlog = count_ready_segments();
	int64 took = GetCurrentTimestamp() - now_us;
	state->archive_at_us = now_us + archive_interval_us + 20 * std::max<int64>(took, 0);
	return state->archive_backlog;
}

// The redo pointer moves when a checkpoint begins, pg_control when it has ended.
bool checkpoint_runs(SamplerState *state)
{
	uint64 redo = GetRedoRecPtr();
	if (redo == state->finished_redo)
		return false;
	bool valid;
	LWLockAcquire(ControlFileLock, LW_SHARED);
	ControlFileData *control = get_controlfile(DataDir, &valid);
	LWLockRelease(ControlFileLock);
	if (!valid || control->checkPointCopy.redo != redo)
		return true;
	state->finished_redo = redo;
	return false;
}

// Was it asked for, by a person, a backup or by the volume of WAL, and not by the clock?  The
// checkpointer publishes its counters while it paces itself; an immediate one, which does not,
// was asked for in any case.
int32 sample_checkpoint(SamplerState *state, int64 now_us)
{
	pg::CheckpointCounters counters = pg::checkpoint_counters();
	if (!checkpoint_runs(state)) {
		state->checkpoint_since_us = 0;
		state->timed_checkpoints = counters.timed;
		state->requested_checkpoints = counters.requested;
		return 0;
	}
	if (state->checkpoint_since_us == 0)
		state->checkpoint_since_us = now_us;
	if (counters.requested > state->requested_checkpoints)
		return 1;
	if (counters.timed > state->timed_checkpoints)
		return 0;
	return now_us - state->checkpoint_since_us > timed_grace_us ? 1 : 0;
}

int32 count_active_backends()
{
	int32 count = 0;
	for (int i = 0; const PgBackendStatus *status = pg::backend_status_by_index(i); i++)
		if (status->st_backendType == B_BACKEND && status->st_procpid != 0 &&
			(status->st_state == STATE_RUNNING || status->st_state == STATE_FASTPATH))
			count++;
	return count;
}

} // namespace

void sample_horizon(Readings *readings)
{
	HorizonHolder holder;
	find_horizon_holder(InvalidTransactionId, &holder);
	readings->horizon_age = 0;
	readings->horizon_pid = holder.pid;
	readings->horizon_prepared = holder.kind == HolderKind::prepared_transaction ? holder.xmin : 0;
	if (holder.kind == HolderKind::none) {
		readings->horizon_holder[0] = '\0';
		return;
	}
	TransactionId next = ReadNextTransactionId();
	readings->horizon_age =
		std::max<int64>(static_cast<int32>(next - holder.xmin), 0); // modulo 2^32, as xids are
	strlcpy(readings->horizon_holder, holder.name, sizeof readings->horizon_holder);
}

void sample_cluster(Readings *readings, SamplerState *state)
{
	MemoryContext memory =
		AllocSetContextCreate(CurrentMemoryContext, "throttle sample", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(memory);
	pgstat_clear_snapshot();

	int64 now_us = GetCurrentTimestamp();
	uint64 current = GetFlushRecPtr(nullptr);
	add_mark(state->wal, current, now_us);
	sample_replicas(readings, state->wal, current, now_us);
	readings->wal_bytes_per_second = sample_wal_rate(state, current, now_us);
	readings->archive_backlog = sample_archive_backlog(state, now_us);
	readings->checkpoint_requested = sample_checkpoint(state, now_us);
	readings->active_backends = count_active_backends();
	sample_horizon(readings);
	readings->sampled_at_us = now_us;

	pgstat_clear_snapshot();
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(memory);
}

} // namespace safe_migrate::jobs::throttle
