// See standby.hpp.
#include "pg/standby.hpp"

#include "pg/compat.hpp"

extern "C" {
#include "replication/slot.h"
#include "replication/walsender.h"
#include "replication/walsender_private.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "storage/spin.h"
}

namespace safe_migrate::pg {

FullTransactionId next_transaction_id() { return ReadNextFullTransactionId(); }

namespace {

bool is_before(TransactionId xmin, FullTransactionId xid)
{
	return TransactionIdIsNormal(xmin) &&
		   TransactionIdPrecedes(xmin, XidFromFullTransactionId(xid));
}

// ProcessStandbyHSFeedbackMessage() without a slot: the walsender's own xmin.
bool walsender_is_before(FullTransactionId xid)
{
	for (int i = 0; i < max_wal_senders; i++) {
		WalSnd *walsender = &WalSndCtl->walsnds[i];
		SpinLockAcquire(&walsender->mutex);
		int pid = walsender->pid;
		SpinLockRelease(&walsender->mutex);
		PGPROC *process = pid != 0 ? BackendPidGetProc(pid) : nullptr;
		if (process && is_before(process->xmin, xid))
			return true;
	}
	return false;
}

// The same with a slot, while a walsender uses it: the xmin of one that is left keeps no reader.
bool slot_is_before(FullTransactionId xid)
{
	bool found = false;
	LWLockAcquire(ReplicationSlotControlLock, LW_SHARED);
	for (int i = 0; i < max_replication_slots && !found; i++) {
		ReplicationSlot *slot = &ReplicationSlotCtl->replication_slots[i];
		if (!slot->in_use)
			continue;
		SpinLockAcquire(&slot->mutex);
		bool active = slot_user(slot) != 0;
		TransactionId xmin =
			slot->data.database == InvalidOid ? slot->data.xmin : InvalidTransactionId;
		SpinLockRelease(&slot->mutex);
		found = active && is_before(xmin, xid);
	}
	LWLockRelease(ReplicationSlotControlLock);
	return found;
}

} // namespace

bool standby_holds_snapshot_before(FullTransactionId xid)
{
	return walsender_is_before(xid) || slot_is_before(xid);
}

} // namespace safe_migrate::pg
