// Standbys, subscribers and slots, as the throttle reads them.
#pragma once
#include "jobs/throttle/signals.hpp"

namespace safe_migrate::jobs::throttle {

// Fills in n_replicas and replicas.  `current` is the position that WAL is flushed up to.
void sample_replicas(Readings *readings, const WalMarks &marks, uint64 current, int64 now_us);

// Is one of the names among safe_migrate.replica_lag_ignore?  "" is nobody's.
bool is_ignored_replica(const char *standby, const char *slot);

// application_name of the backend `pid`, "pid 4711" where it has none, into name[name_length].
// From the local copy of the backends' status.
void name_of_backend(int pid, char *name);

} // namespace safe_migrate::jobs::throttle
