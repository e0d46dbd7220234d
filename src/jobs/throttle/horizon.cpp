// Who holds the xmin horizon.
#include "jobs/shared.hpp"
#include "jobs/throttle/replicas.hpp"
#include "jobs/throttle/signals.hpp"
#include "jobs/worker.hpp"
#include "pg/holder.hpp"

extern "C" {
#include "access/transam.h"
#include "access/twophase.h"
#include "replication/slot.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "storage/spin.h"
}

namespace safe_migrate::jobs::throttle {

namespace {

TransactionId older(TransactionId a, TransactionId b)
{
	if (!TransactionIdIsNormal(a))
		return b;
	if (!TransactionIdIsNormal(b))
		return a;
	return TransactionIdPrecedes(a, b) ? a : b;
}

// The oldest so far; `than` = only those at or before it.
struct Search {
	TransactionId than;
	HorizonHolder *oldest;

	bool is_better(TransactionId xmin) const
	{
		if (!TransactionIdIsNormal(xmin))
			return false;
		if (TransactionIdIsNormal(than) && TransactionIdFollows(xmin, than))
			return false;
		return oldest->kind == HolderKind::none || TransactionIdPrecedes(xmin, oldest->xmin);
	}
};

// As ComputeXidHorizons() takes a process into account for tables of this database.
bool counts(const PGPROC *process)
{
	if ((process->statusFlags & (PROC_IN_VACUUM | PROC_IN_LOGICAL_DECODING)) != 0)
		return false;
	return process->databaseId == MyDatabaseId ||
		   (process->statusFlags & PROC_AFFECTS_ALL_HORIZONS) != 0;
}

void look_at(Search *search, const PGPROC *process, HolderKind kind)
{
	TransactionId xmin = older(process->xmin, process->xid);
	if (process == MyProc || !counts(process) || !search->is_better(xmin))
		return;
	bool is_feedback = (process->statusFlags & PROC_AFFECTS_ALL_HORIZONS) != 0;
	search->oldest->kind = is_feedback ? HolderKind::standby : kind;
	search->oldest->pid = process->pid;
	search->oldest->xmin = xmin;
}

void look_at_processes(Search *search)
{
	LWLockAcquire(ProcArrayLock, LW_SHARED);
	for (uint32 i = 0; i < ProcGlobal->allProcCount; i++)
		if (ProcGlobal->allProcs[i].pid != 0)
			look_at(search, &ProcGlobal->allProcs[i], HolderKind::backend);
	LWLockRelease(ProcArrayLock);
}

// Prepared transactions have a PGPROC without pid, beyond the others.  A free one still has the
// xid of its last: ProcArrayRemove() leaves it.
void look_at_prepared(Search *search)
{
	for (int i = 0; i < max_prepared_xacts; i++) {
		const PGPROC *process = &PreparedXactProcs[i];
		TransactionId xid = process->xid;
		if (search->is_better(xid) && TransactionIdIsInProgress(xid))
			look_at(search, process, HolderKind::prepared_transaction);
	}
}

// catalog_xmin holds back system catalogs only.
void look_at_slots(Search *search)
{
	LWLockAcquire(ReplicationSlotControlLock, LW_SHARED);
	for (int i = 0; i < max_replication_slots; i++) {
		ReplicationSlot *slot = &ReplicationSlotCtl->replication_slots[i];
		if (!slot->in_use)
			continue;
		SpinLockAcquire(&slot->mutex);
		TransactionId xmin = slot->effective_xmin;
		SpinLockRelease(&slot->mutex);
		if (!search->is_better(xmin))
			continue;
		*search->oldest = {HolderKind::slot, 0, xmin, {}};
		snprintf(search->oldest->name, holder_length, "slot \"%.50s\"", NameStr(slot->data.name));
	}
	LWLockRelease(ReplicationSlotControlLock);
}

void name_holder(HorizonHolder *holder)
{
	char name[name_length];
	switch (holder->kind) {
		case HolderKind::backend:
			snprintf(holder->name, holder_length, "backend %d", holder->pid);
			return;
		case HolderKind::standby:
			name_of_backend(holder->pid, name);
			snprintf(holder->name, holder_length, "standby \"%.50s\"", name);
			return;
		case HolderKind::prepared_transaction:
			snprintf(holder->name, holder_length, "prepared transaction %u", holder->xmin);
			return;
		case HolderKind::slot:
		case HolderKind::none:
			return;
	}
}

} // namespace

void find_horizon_holder(TransactionId than, HorizonHolder *out)
{
	*out = {};
	Search search = {than, out};
	look_at_processes(&search);
	look_at_prepared(&search);
	look_at_slots(&search);
	name_holder(out);
}

void name_prepared_holder(TransactionId xid, char (&name)[holder_length])
{
	static TransactionId known;
	static char its_name[holder_length];

	if (xid != known) {
		its_name[0] = '\0';
		(void)job_transaction(
			[&] { set_text(its_name, sizeof its_name, pg::holder_of_transaction(xid).name); });
		known = its_name[0] != '\0' ? xid : InvalidTransactionId;
	}
	if (TransactionIdIsValid(known))
		strlcpy(name, its_name, sizeof name);
}

} // namespace safe_migrate::jobs::throttle
