// Replication as it stands in shared memory.
#include "jobs/throttle/replicas.hpp"

#include "pg/compat.hpp"
#include "settings.hpp"

extern "C" {
#include "replication/slot.h"
#include "replication/walsender.h"
#include "replication/walsender_private.h"
#include "storage/lwlock.h"
#include "storage/spin.h"
#include "utils/varlena.h"
}

namespace safe_migrate::jobs::throttle {

namespace {

// What is copied out of a walsender's or slot's memory while its spinlock is held.
struct Source {
	int pid; // walsender, 0 = a slot without one
	ReplicaKind kind;
	XLogRecPtr position;
	TimeOffset apply_lag;		 // as the walsender measured it last, -1 unknown
	char slot_name[NAMEDATALEN]; // "" = none
};

struct Sources {
	int n, size;
	Source *all;
};

// Names as in synchronous_standby_names: compared without regard to case, * is all.
bool is_ignored(const List *names, const char *name)
{
	ListCell *cell;
	foreach (cell, names) {
		const char *ignored = static_cast<const char *>(lfirst(cell));
		if (strcmp(ignored, "*") == 0 || (name[0] != '\0' && pg_strcasecmp(ignored, name) == 0))
			return true;
	}
	return false;
}

List *ignored_names()
{
	char *names = pstrdup(settings::replica_lag_ignore ? settings::replica_lag_ignore : "");
	List *ignore = NIL;
	(void)SplitGUCList(names, ',', &ignore); // checked when it was set
	return ignore;
}

// A receiver that never tells what it has applied (pg_receivewal, pg_basebackup) counts by what
// was sent: it answers too seldom for a lag in time.
XLogRecPtr position_of(const WalSnd *walsender)
{
	return walsender->apply != InvalidXLogRecPtr ? walsender->apply : walsender->sentPtr;
}

// As pg_stat_get_wal_senders().
void add_walsenders(Sources *sources)
{
	for (int i = 0; i < max_wal_senders && sources->n < sources->size; i++) {
		WalSnd *walsender = &WalSndCtl->walsnds[i];
		Source *source = &sources->all[sources->n];
		SpinLockAcquire(&walsender->mutex);
		int pid = walsender->pid;
		WalSndState state = walsender->state;
		source->position = position_of(walsender);
		source->apply_lag = walsender->applyLag;
		SpinLockRelease(&walsender->mutex);
		bool replicates =
			pid != 0 && (state == WALSNDSTATE_CATCHUP || state == WALSNDSTATE_STREAMING ||
						 state == WALSNDSTATE_STOPPING);
		if (!replicates)
			continue;
		source->pid = pid;
		source->kind = ReplicaKind::standby;
		source->slot_name[0] = '\0';
		sources->n++;
	}
}

Source *find_walsender(Sources *sources, int pid)
{
	for (int i = 0; i < sources->n; i++)
		if (pid != 0 && sources->all[i].pid == pid)
			return &sources->all[i];
	return nullptr;
}

void add_inactive_slot(Sources *sources, const char *name, XLogRecPtr restart)
{
	if (sources->n == sources->size)
		return;
	Source *source = &sources->all[sources->n++];
	source->pid = 0;
	source->kind = ReplicaKind::inactive_slot;
	source->position = restart;
	source->apply_lag = -1;
	strlcpy(source->slot_name, name, sizeof(source->slot_name));
}

// As pg_get_replication_slots().  A slot read by SQL functions has no walsender: it retains
// WAL like one that nobody reads from.
void add_slots(Sources *sources)
{
	LWLockAcquire(ReplicationSlotControlLock, LW_SHARED);
	for (int i = 0; i < max_replication_slots; i++) {
		ReplicationSlot *slot = &ReplicationSlotCtl->replication_slots[i];
		if (!slot->in_use)
			continue;
		SpinLockAcquire(&slot->mutex);
		int pid = pg::slot_user(slot);
		XLogRecPtr restart = slot->data.restart_lsn;
		bool invalidated = pg::slot_is_invalidated(slot);
		SpinLockRelease(&slot->mutex);
		if (Source *walsender = find_walsender(sources, pid)) {
			if (SlotIsLogical(slot))
				walsender->kind = ReplicaKind::subscriber;
			strlcpy(walsender->slot_name, NameStr(slot->data.name), sizeof(walsender->slot_name));
		} else if (restart != InvalidXLogRecPtr && !invalidated)
			add_inactive_slot(sources, NameStr(slot->data.name), restart);
	}
	LWLockRelease(ReplicationSlotControlLock);
}

void read_source(const Source &source, const WalMarks &marks, uint64 current, int64 now_us,
				 const List *ignore, ReplicaReading *reading)
{
	*reading = {};
	reading->kind = source.kind;
	reading->lag_bytes =
		source.position < current ? static_cast<int64>(current - source.position) : 0;
	reading->lag_us = unknown;
	if (source.kind == ReplicaKind::inactive_slot)
		strlcpy(reading->name, source.slot_name, name_length);
	else {
		name_of_backend(source.pid, reading->name);
		Lag lag = lag_of(marks, source.position, now_us);
		reading->at_least = lag.at_least;
		reading->lag_us = lag.us;
		if (lag.at_least && source.apply_lag > lag.us)
			reading->lag_us = source.apply_lag;
	}
	reading->ignored = is_ignored(ignore, reading->name) || is_ignored(ignore, source.slot_name);
}

// The place for one more: a free one, or that of who lags least.
ReplicaReading *place_for(Readings *readings, const ReplicaReading &one)
{
	if (readings->n_replicas < max_replicas)
		return &readings->replicas[readings->n_replicas++];
	auto weight = [](const ReplicaReading &r) { return r.ignored ? -1 : r.lag_bytes; };
	ReplicaReading *least = &readings->replicas[0];
	for (ReplicaReading &other : readings->replicas)
		if (weight(other) < weight(*least))
			least = &other;
	return weight(*least) < weight(one) ? least : nullptr;
}

} // namespace

bool is_ignored_replica(const char *standby, const char *slot)
{
	List *names = ignored_names();
	return is_ignored(names, standby) || is_ignored(names, slot);
}

void name_of_backend(int pid, char *name)
{
	for (int i = 0; const PgBackendStatus *status = pg::backend_status_by_index(i); i++)
		if (status->st_procpid == pid && status->st_appname != nullptr &&
			status->st_appname[0] != '\0') {
			strlcpy(name, status->st_appname, name_length);
			return;
		}
	snprintf(name, name_length, "pid %d", pid);
}

void sample_replicas(Readings *readings, const WalMarks &marks, uint64 current, int64 now_us)
{
	Sources sources = {0, max_wal_senders + max_replication_slots, nullptr};
	readings->n_replicas = 0;
	if (sources.size == 0)
		return;
	sources.all = static_cast<Source *>(palloc(sources.size * sizeof(Source)));
	add_walsenders(&sources);
	add_slots(&sources);

	List *ignore = ignored_names();
	for (int i = 0; i < sources.n; i++) {
		ReplicaReading one;
		read_source(sources.all[i], marks, current, now_us, ignore, &one);
		if (ReplicaReading *place = place_for(readings, one))
			*place = one;
	}
}

} // namespace safe_migrate::jobs::throttle
