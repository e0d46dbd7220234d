// See standby.hpp.
#include "pg/standby.hpp"

#include "pg/compat.hpp"

extern "C" {
#include "pgstat.h"
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
int walsender_before(FullTransactionId xid)
{
	for (int i = 0; i < max_wal_senders; i++) {
		WalSnd *walsender = &WalSndCtl->walsnds[i];
		SpinLockAcquire(&walsender->mutex);
		int pid = walsender->pid;
		SpinLockRelease(&walsender->mutex);
		PGPROC *process = pid != 0 ? BackendPidGetProc(pid) : nullptr;
		if (process && is_before(process->xmin, xid))
			return pid;
	}
	return 0;
}

// The same with a slot, while a walsender uses it: the xmin of one that is left keeps no reader.
int slot_user_before(FullTransactionId xid)
{
	int found = 0;
	LWLockAcquire(ReplicationSlotControlLock, LW_SHARED);
	for (int i = 0; i < max_replication_slots && found == 0; i++) {
		ReplicationSlot *slot = &ReplicationSlotCtl->replication_slots[i];
		if (!slot->in_use)
			continue;
		SpinLockAcquire(&slot->mutex);
		int pid = slot_user(slot);
		TransactionId xmin =
			slot->data.database == InvalidOid ? slot->data.xmin : InvalidTransactionId;
		SpinLockRelease(&slot->mutex);
		if (is_before(xmin, xid))
			found = pid;
	}
	LWLockRelease(ReplicationSlotControlLock);
	return found;
}

} // namespace

int standby_with_snapshot_before(FullTransactionId xid)
{
	int pid = walsender_before(xid);
	return pid != 0 ? pid : slot_user_before(xid);
}

char *standby_name(int walsender_pid)
{
	pgstat_clear_snapshot();
	const PgBackendStatus *session = nullptr;
	for (int i = 0; (session = backend_status_by_index(i)) != nullptr; i++)
		if (session->st_procpid == walsender_pid)
			return pstrdup(session->st_appname);
	return nullptr;
}

} // namespace safe_migrate::pg
