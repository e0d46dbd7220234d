// Readings of the server and the verdict on them.  Plain values, no server headers.
#pragma once
#include <cstddef>
#include <cstdint>

namespace safe_migrate::jobs::throttle {

constexpr int max_replicas = 32;
constexpr int name_length = 64;
constexpr int holder_length = 128;
constexpr int64_t unknown = -1;
constexpr int64_t no_limit = -1;

enum class ReplicaKind : uint8_t {
	standby,	  // a walsender that streams to a standby (or to pg_receivewal)
	subscriber,	  // a walsender that decodes
	inactive_slot // nobody reads from it: counts by the WAL it retains only
};

struct ReplicaReading {
	char name[name_length]; // application_name of a standby, or slot name
	ReplicaKind kind;
	bool ignored;	   // on the ignore list: shown, never judged
	bool at_least;	   // it was behind before the first sample: lag_us is a lower bound
	int64_t lag_bytes; // current WAL position minus the replayed (inactive slot: restart) one
	int64_t lag_us;	   // time since that position was passed here
};

// What was read at `sampled_at_us` (GetCurrentTimestamp()).  -1 = unknown, as all of a fresh one
// is.
struct Readings {
	int64_t sampled_at_us = 0;
	int32_t n_replicas = -1; // more than max_replicas: those that lag most are kept
	ReplicaReading replicas[max_replicas] = {};
	int64_t horizon_age = unknown; // transactions since the oldest xmin
	int32_t horizon_pid = 0;	   // backend that holds it, 0 = none or not a backend
	uint32_t horizon_prepared = 0; // transaction id, where a prepared transaction holds it
	char horizon_holder[holder_length] = {}; // "backend 123", "slot x", …
	int64_t wal_bytes_per_second = unknown;
	int64_t archive_backlog = unknown; // segments
	int32_t checkpoint_requested = -1; // 1 while a requested checkpoint runs
	int32_t active_backends = -1;	   // client backends in state active
	// per job, filled in by the worker itself
	int32_t lock_waiters = -1; // sessions waiting for a lock that the worker holds
	int64_t table_writes_per_second = unknown;
	int32_t query_says_stop = -1; // the job's own query: 1 stop, 0 go
	char query_error[96] = {};	  // why it is unknown
};

// Limits of one job: the server's settings, or stricter ones of the job. -1 = no limit.
struct Limits {
	int64_t replica_lag_us = no_limit;
	int64_t replica_lag_bytes = no_limit;
	int64_t slot_retained_bytes = no_limit;
	int64_t lock_waiters = no_limit;
	int64_t horizon_age = no_limit;
	int64_t wal_rate = no_limit; // bytes/s
	int64_t archive_backlog = no_limit;
	bool checkpoints = false; // stop for them
	int64_t active_backends = no_limit;
	int64_t table_write_rate = no_limit;
	bool has_query = false;
	bool unknown_stops = true;
	int64_t stale_after_us = 5'000'000; // readings older than this are unknown
};

// Carried from one verdict of a job to the next: what stopped it lets it go on at half its limit.
struct State {
	uint32_t stopped = 0; // a bit for each signal of the table
	struct Replica {
		char name[name_length];
		uint32_t stopped;
	};
	int n_replicas = 0;
	Replica replicas[max_replicas] = {};
};

struct Verdict {
	bool stop;
	const char *signal; // "replica lag", "WAL rate", …: the table's name; nullptr while it goes
	char reason[256];	// "standby \"s1\" is 12.3 s (45 MB) behind, limit 10 s"
};

// The first signal of the table that stops the job.  Every signal is looked at each time.
Verdict judge(const Readings &readings, const Limits &limits, State &state, int64_t now_us);

// What the limits that are on read now, for a person: "replica lag 0.2 s of 10 s (standby "s1"),
// lock waiters 0 of 0".
void describe_readings(const Readings &readings, const Limits &limits, char *text, size_t size);

// The longest lag in time of those that are judged; -1 where there is none or it is unknown.
int64_t worst_replica_lag_us(const Readings &readings);

} // namespace safe_migrate::jobs::throttle
