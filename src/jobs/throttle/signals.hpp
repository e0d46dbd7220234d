// What the throttle reads of the server.  Read from shared memory: no SPI, no snapshot.
#pragma once
#include "jobs/throttle/throttle.hpp"
#include "jobs/throttle/wal_marks.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "access/transam.h"
#include "datatype/timestamp.h"
}

namespace safe_migrate::jobs::throttle {

// ---------------------------------------------------------------- in the scheduler

// What the sampler remembers from sample to sample; the scheduler's own, all zero to begin with.
struct SamplerState {
	WalMarks wal;
	uint64 previous_lsn; // for the WAL rate
	int64 previous_at_us;
	double wal_rate;	 // bytes/s, smoothed over about 2 s
	int64 archive_at_us; // next count of the archive backlog
	int64 archive_backlog;
	uint64 finished_redo;	 // where the last finished checkpoint began
	int64 timed_checkpoints; // counter while none ran
	int64 requested_checkpoints;
	int64 checkpoint_since_us; // 0 = none runs
};

// Fills in all readings of the server (not the job's own).  Called a few times a second
// outside a transaction by a process that is connected to a database; holds locks of the
// server's for moments only.  Memory it needs is freed again.
void sample_cluster(Readings *readings, SamplerState *state);

// ---------------------------------------------------------------- in the worker

// The horizon of this database, in readings that another database's scheduler may have sampled.
void sample_horizon(Readings *readings);

// Sessions that wait for a lock held by `pid`, or in the queue behind one that does: to be asked
// at the end of a batch, while its locks are still held; between batches it is 0.  Costs a look
// at each PGPROC while nobody waits for anything.
int lock_waiters_behind(int pid);

// Rows per second written to `relations` by others than this job, from the cumulative
// statistics; `own_rows` is what the whole job has written to them so far (any origin: only its
// growth counts).  -1 until two looks are a second apart; may be asked more often, it looks once
// a second.  Outside a transaction.  The state is all zero to begin with.
struct WriteRateState {
	int64 others; // rows, at at_us
	int64 at_us;
	double rate; // smoothed over about 5 s
	bool known;
};
int64 table_writes_per_second(WriteRateState *state, const Oid *relations, int n, int64 own_rows);

// ---------------------------------------------------------------- who holds the xmin horizon

enum class HolderKind : uint8_t { none, backend, prepared_transaction, slot, standby };

struct HorizonHolder {
	HolderKind kind;
	int pid;			// backend, standby (its walsender); else 0
	TransactionId xmin; // or xid of a transaction without snapshot
	// "backend 4711", "standby \"s1\"", "slot \"x\"", "prepared transaction 1234"
	char name[holder_length];
};

// Who holds the horizon of this database's tables before or at `than`: whose snapshot may still
// see what `than` deleted.  The oldest one; kind none when nobody does.  InvalidTransactionId:
// the oldest of all.  This process itself doesn't count.  See ComputeXidHorizons() in procarray.c.
void find_horizon_holder(TransactionId than, HorizonHolder *out);

// What pg_prepared_xacts has of it, gid, owner and since when; in the worker, outside of a
// transaction.  Asked for once a transaction, and left as it is where that one has ended.
void name_prepared_holder(TransactionId xid, char (&name)[holder_length]);

} // namespace safe_migrate::jobs::throttle
