// What standbys have told of the snapshots that are held there.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "access/transam.h"
}

namespace safe_migrate::pg {

// The next transaction id of this server.
FullTransactionId next_transaction_id();

// Does a connected standby with hot_standby_feedback hold a snapshot older than that?  As
// pg_stat_replication.backend_xmin has it, and pg_replication_slots.xmin of slots in use.
bool standby_holds_snapshot_before(FullTransactionId xid);

} // namespace safe_migrate::pg
