// Readings of the server and the verdict on them.  Plain values, no server headers.
#pragma once
#include <cstdint>

namespace safe_migrate::jobs::throttle {

constexpr int max_replicas = 32;
constexpr int name_length = 64;

struct ReplicaReading {
	char name[name_length]; // application_name of a standby, or slot name
	int64_t lag_bytes;		// current WAL position minus the replayed (slot: confirmed/restart) one; -1 unknown
	int64_t lag_us;			// time since that position was passed here; -1 unknown
	bool active;			// connected; an inactive slot counts by retained bytes only
	bool ignored;			// on the ignore list: shown, never judged
};

// What was read at `sampled_at_us` (GetCurrentTimestamp()).  -1 = unknown.
struct Readings {
	int64_t sampled_at_us;
	int n_replicas;
	ReplicaReading replicas[max_replicas];
	int64_t horizon_age;			// transactions since the oldest xmin
	int32_t horizon_pid;			// backend that holds it, 0 = none or not a backend
	char horizon_holder[name_length]; // "slot x", "prepared transaction y", "standby z", "backend"
	int64_t wal_bytes_per_second;
	int64_t archive_backlog;		// segments
	int32_t checkpoint_requested;	// 1 while a requested checkpoint runs
	int32_t active_backends;
	// per job, filled in by the worker itself
	int32_t lock_waiters;			// sessions waiting for a lock that the worker holds
	int64_t table_writes_per_second;
	int32_t query_says_stop;		// the job's own query: 1 stop, 0 go
};

// Limits of one job: the server's settings, or stricter ones of the job. 0 = no limit,
struct Limits {
	int64_t replica_lag_us;
	int64_t replica_lag_bytes;
	int64_t slot_retained_bytes;
	int64_t lock_waiters;
	int64_t horizon_age;
	int64_t wal_rate;
	int64_t archive_backlog;
	bool checkpoints;
	int64_t active_backends;
	int64_t table_write_rate;
	bool has_query;
	bool unknown_stops;
	int64_t stale_after_us; // readings older than this are unknown
};

// Carried from one verdict to the next: a signal that stopped the job lets it go on at half its limit.
struct State {
	int stopped_by;				  // index into the table of signals, -1 = none
	char replica[name_length];
};

struct Verdict {
	bool stop;
	const char *signal;		 // "replica lag", "WAL rate", …; the table's name
	char reason[192];		 // "standby \"s1\" is 12.3 s (45 MB) behind, limit 10 s"
};

Verdict judge(const Readings &readings, const Limits &limits, State &state, int64_t now_us);

} // namespace safe_migrate::jobs::throttle
