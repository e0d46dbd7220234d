// The xmin horizon.
#pragma once
#include "pg/compat_executor.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "access/transam.h"
#include "storage/procarray.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
}

namespace safe_migrate::pg {

// True when no snapshot of this cluster can still see what `xid` deleted (in any database: the
// strictest horizon).  Needs a transaction.
bool is_past_horizon(TransactionId xid);

// GlobalVisTestIsRemovableXid() after a fresh look at all backends; needs a snapshot.  By itself
// the server looks again only when RecentXmin has moved (GlobalVisTestShouldUpdate of procarray.c),
// which it never does while nobody is given a transaction id: pruning would not learn that an old
// snapshot is gone.  GetOldestNonRemovableTransactionId() computes the horizons from the proc
// array, and ComputeXidHorizons() puts what it found into all GlobalVisStates of this backend at
// its end (GlobalVisUpdateApply; the same in 15 to 18).  Sound, since they are then what the server
// itself would have computed at that moment: anything older than maybe_needed is seen by nobody,
// and stays so even where a later look yields an older value (see the notes above
// ComputeXidHorizons).
inline bool is_removable_after_refresh(Relation rel, GlobalVisState *horizon, TransactionId xid)
{
	if (is_removable(horizon, xid))
		return true;
	(void)GetOldestNonRemovableTransactionId(rel);
	return is_removable(horizon, xid);
}

} // namespace safe_migrate::pg
