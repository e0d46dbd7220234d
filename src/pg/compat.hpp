// What differs between PostgreSQL 15, 16, 17 and 18, each as one small function with the newest
// server's name in snake_case.  Version #ifs stand here and nowhere else outside src/pg/.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "pgstat.h"
#include "replication/slot.h"
#include "utils/backend_status.h"
}

namespace safe_migrate::pg {

// One of the entries of the local copy of the backends' status, from 0; made by the first look,
// dropped by pgstat_clear_snapshot().  nullptr when there are no more.
inline const PgBackendStatus *backend_status_by_index(int index)
{
	if (index >= pgstat_fetch_stat_numbackends())
		return nullptr;
#if PG_VERSION_NUM >= 160000
	LocalPgBackendStatus *entry = pgstat_get_local_beentry_by_index(index + 1);
#else
	LocalPgBackendStatus *entry = pgstat_fetch_stat_local_beentry(index + 1);
#endif
	return entry == nullptr ? nullptr : &entry->backendStatus;
}

// Under the slot's mutex.
inline bool slot_is_invalidated(const ReplicationSlot *slot)
{
#if PG_VERSION_NUM >= 160000
	return slot->data.invalidated != RS_INVAL_NONE;
#else
	return slot->data.invalidated_at != InvalidXLogRecPtr;
#endif
}

// Counters of checkpoints begun.
struct CheckpointCounters {
	int64 timed;
	int64 requested;
};

inline CheckpointCounters checkpoint_counters()
{
	const PgStat_CheckpointerStats *stats = pgstat_fetch_stat_checkpointer();
#if PG_VERSION_NUM >= 170000
	return {stats->num_timed, stats->num_requested};
#else
	return {stats->timed_checkpoints, stats->requested_checkpoints};
#endif
}

} // namespace safe_migrate::pg
