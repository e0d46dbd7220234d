// Plain values of the job engine: what is stored, and what decisions are made of.
// No server headers: unit tests include this.
#pragma once
#include <cstdint>

namespace safe_migrate::jobs {

using JobId = int64_t;

enum class JobState : uint8_t { queued, running, paused, succeeded, failed, cancelled };
constexpr const char *job_state_names[] = {"queued",	"running", "paused",
										   "succeeded", "failed",  "cancelled"};
constexpr const char *name_of(JobState s) { return job_state_names[static_cast<int>(s)]; }
constexpr bool is_final(JobState s)
{
	return s == JobState::succeeded || s == JobState::failed || s == JobState::cancelled;
}

// What a running job may be doing or waiting for; a condition, not a state.
enum class Condition : uint8_t {
	none,			// working
	starting,		// queued: the scheduler has not got to it
	no_worker_slot, // queued: max_worker_processes is used up
	no_connection,	// the database takes no connections, or processes end as they start there
	max_workers,	// queued: safe_migrate.max_workers jobs' workers run already
	disabled,		// safe_migrate.enabled is off, or pause_all() was called
	retrying,		// an error that may pass by itself; next try at retry_at
	throttled,		// a throttle signal is over its limit
	horizon,		// waits for old snapshots before it goes over the same pages again
	locked,			// waits for a table lock or rows that others hold
	foreign,		// restored from another cluster or database: never starts by itself
};
constexpr const char *condition_names[] = {"working",
										   "starting",
										   "no free worker slot",
										   "no connection",
										   "max_workers reached",
										   "disabled",
										   "retrying",
										   "throttled",
										   "waiting for old snapshots",
										   "waiting for a lock",
										   "restored from elsewhere"};
constexpr const char *name_of(Condition c) { return condition_names[static_cast<int>(c)]; }

} // namespace safe_migrate::jobs
