// See portal_snapshot.hpp.  As VACUUM leaves its portal, and EnsurePortalSnapshotExists() finds it.
#include "pg/portal_snapshot.hpp"

extern "C" {
#include "access/xact.h"
#include "tcop/pquery.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"
}

namespace safe_migrate::pg {

bool give_back_portal_snapshot()
{
	if (IsolationUsesXactSnapshot() || ActivePortal == nullptr || !ActiveSnapshotSet() ||
		ActivePortal->portalSnapshot == nullptr ||
		ActivePortal->portalSnapshot != GetActiveSnapshot())
		return false;
	Snapshot kept = RegisterSnapshot(GetActiveSnapshot());
	PopActiveSnapshot();
	const bool is_only_one = !ActiveSnapshotSet();
	if (is_only_one)
		ActivePortal->portalSnapshot = nullptr;
	else
		PushActiveSnapshotWithLevel(kept, ActivePortal->createLevel);
	UnregisterSnapshot(kept);
	return is_only_one;
}

void take_portal_snapshot() { EnsurePortalSnapshotExists(); }

void give_back_catalog_snapshot() { InvalidateCatalogSnapshot(); }

} // namespace safe_migrate::pg
