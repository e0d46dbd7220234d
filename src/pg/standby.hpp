// What standbys have told of the snapshots that are held there.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "access/transam.h"
}

namespace safe_migrate::pg {

// The next transaction id of this server.
FullTransactionId next_transaction_id();

struct StandbySnapshot {
	int walsender;			// pid
	char slot[NAMEDATALEN]; // "" = it uses none
};
constexpr int most_standbys = 64; // that are told of at a time

// Connected standbys with hot_standby_feedback that hold a snapshot older than that: how many there
// are in found[most_standbys].  As pg_stat_replication.backend_xmin has it, and
// pg_replication_slots.xmin of slots in use.
int standbys_with_snapshot_before(FullTransactionId xid, StandbySnapshot *found);

} // namespace safe_migrate::pg
