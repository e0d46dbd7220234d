// What standbys have told of the snapshots that are held there.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "access/transam.h"
}

namespace safe_migrate::pg {

// The next transaction id of this server.
FullTransactionId next_transaction_id();

// The walsender of a connected standby with hot_standby_feedback that holds a snapshot older than
// that: its pid, 0 where there is none.  As pg_stat_replication.backend_xmin has it, and
// pg_replication_slots.xmin of slots in use.
int standby_with_snapshot_before(FullTransactionId xid);

// Its application_name, by which pg_stat_replication names the standby; palloc'd, nullptr where the
// process is gone.
char *standby_name(int walsender_pid);

} // namespace safe_migrate::pg
