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
int walsenders_before(FullTransactionId xid, StandbySnapshot *found)
{
	int n = 0;
	for (int i = 0; i < max_wal_senders && n < most_standbys; i++) {
		WalSnd *walsender = &WalSndCtl->walsnds[i];
		SpinLockAcquire(&walsender->mutex);
		int pid = walsender->pid;
		SpinLockRelease(&walsender->mutex);
		PGPROC *process = pid != 0 ? BackendPidGetProc(pid) : nullptr;
		if (process && is_before(process->xmin, xid))
			found[n++] = {pid, ""};
	}
	return n;
}

// The same with a slot, while a walsender uses it: the xmin of one that is left keeps no reader.
int slot_users_before(FullTransactionId xid, StandbySnapshot *found, int size)
{
	int n = 0;
	LWLockAcquire(ReplicationSlotControlLock, LW_SHARED);
	for (int i = 0; i < max_replication_slots && n < size; i++) {
		ReplicationSlot *slot = &ReplicationSlotCtl->replication_slots[i];
		if (!slot->in_use)
			continue;
		SpinLockAcquire(&slot->mutex);
		int pid = slot_user(slot);
		TransactionId xmin =
			slot->data.database == InvalidOid ? slot->data.xmin : InvalidTransactionId;
		strlcpy(found[n].slot, NameStr(slot->data.name), NAMEDATALEN);
		SpinLockRelease(&slot->mutex);
		if (pid != 0 && is_before(xmin, xid))
			found[n++].walsender = pid;
	}
	LWLockRelease(ReplicationSlotControlLock);
	return n;
}

} // namespace

int standbys_with_snapshot_before(FullTransactionId xid, StandbySnapshot *found)
{
	int n = walsenders_before(xid, found);
	return n + slot_users_before(xid, found + n, most_standbys - n);
}

} // namespace safe_migrate::pg
