// The job engine's shared memory: which databases have work, which workers run, how far
// live jobs are.  Everything here can be lost: the tables are the truth, this is what can
// be seen without a snapshot and what wakes whom.
#pragma once
#include "jobs/job.hpp"
#include "jobs/progress_meter.hpp"
#include "jobs/throttle/throttle.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/lwlock.h"
}

namespace safe_migrate::jobs {

constexpr int max_databases = 256;
constexpr int max_live_jobs = 128;
constexpr int max_live_workers = 64;

struct Database {
	Oid oid;			  // InvalidOid = free entry
	bool wanted;		  // somebody queued or changed a job since the scheduler last looked
	pid_t scheduler_pid;  // 0 = none
	Latch *latch;		  // of the scheduler
	TimestampTz started;  // when the launcher last asked for a scheduler; 0 = not asked
	bool no_slot;		  // the launcher found no free worker slot for its scheduler
	int failures;		  // schedulers in a row that could not take their place
	TimestampTz retry_at; // after them: no other one before; 0 = at once
	int bars;			  // > 0: DROP DATABASE and its like are under way
};

// Where a job's row is: an extension that is dropped and created again counts its jobs from 1
// again.
struct Home {
	Oid database; // InvalidOid: that of a free entry
	Oid extension;
	bool operator==(const Home &) const = default;
};

// The events of a job's throttling, of all its workers.
struct ThrottleNotes {
	const char *signal; // of the last one that was written: compared only, never read
	TimestampTz at;		// when
	bool open;			// its end is to be written as well
	int since;			// times that it was throttled since, that none was written for
	char last[200];		// why, the last of them
};

// What the world sees of a job that runs, or that was seen last.
struct LiveJob {
	Home home;
	JobId id;
	Oid owner; // may see it
	JobState state;
	Condition condition;
	int step_no, step_count;
	int pass;
	int workers_wanted; // helpers included; 0 while the step takes none
	uint32 control;		// bumped when the job's row was changed by somebody
	uint32 notices;		// events that wait() prints, written since the entry is there
	char phase[48];
	char detail[300]; // of the condition: who is in the way, which signal
	int32 waiting_for_pid;
	int64 rows_written, rows_seen;
	int64 units_done, units_total; // blocks of this pass
	Rates rates;
	int64 replica_lag_us; // worst judged one, -1 unknown
	char readings[400];	  // of the throttle's signals that have a limit
	ThrottleNotes throttle;
	TimestampTz changed;
	int start_failures;
	bool lead_seen; // a leading worker was started since the server was: crashes end this memory
	TimestampTz not_before; // the scheduler starts no worker for it before this
	char last_words[300];	// of the leading worker that ended last: why, as far as it knew
};

// Of a worker in the middle of a long statement: who interrupts it.
enum class InStatement : uint8_t {
	none,
	cancellable, // cancel()
	repeatable	 // pause() and safe_migrate.enabled = off as well: nothing is lost with it
};

struct LiveWorker {
	bool used;
	Home home;
	JobId job;
	int number; // 0 leads
	pid_t pid;	// 0 until it has started
	Latch *latch;
	bool ended_well; // it had nothing more to do: no pause before the next one
	InStatement in_statement;
	TimestampTz
		overdue_at; // of the batch it is in: who is told to stop is interrupted then; 0 = none
	Oid connect_as; // role of the connection
	Oid owner;		// role it works as
};

struct Shared {
	LWLock *lock;			   // guards all below but the variables
	ConditionVariable changed; // state changes of jobs
	pid_t launcher_pid;
	Latch *launcher_latch;
	pg_atomic_uint64 worker_transactions; // batches that had a transaction id; without the lock
	pg_atomic_uint64 wal_segment;		  // the newest that a worker makes or has made
	throttle::Readings readings;		  // newest sample
	Database databases[max_databases];
	LiveJob jobs[max_live_jobs];
	LiveWorker workers[max_live_workers];
};

extern Shared *shared; // nullptr when the library was not preloaded

void install_shared_memory(); // from _PG_init

// Errors with the line to add to postgresql.conf when the library was not preloaded.
void require_preload();

// Holds Shared::lock for a block of plain memory accesses.  Nothing in the block may raise an
// error (the server would release the lock, the destructor not run).
class Guard {
public:
	explicit Guard(LWLockMode mode = LW_EXCLUSIVE) { LWLockAcquire(shared->lock, mode); }
	~Guard() { LWLockRelease(shared->lock); }
	Guard(const Guard &) = delete;
	Guard &operator=(const Guard &) = delete;
};

// All of these need the lock.
Database *find_database(Oid oid, bool create);
LiveJob *find_live_job(const Home &home, JobId id,
					   bool create);				   // create takes over an ended or paused one
LiveJob *live_job_at_work(const Home &home, JobId id); // or else one that only waits its turn
void forget_database(Oid database);					   // which was dropped
LiveWorker *find_worker(Oid database, JobId id, int number);
int count_workers(Oid database, JobId id); // InvalidOid, 0: all
void set_text(char *to, size_t size, const char *from);

// Takes the lock itself: marks the database as having work and wakes whoever must look.
void wake_scheduler(Oid database);
// The job's row changed (pause, configure, …): its workers and the scheduler look again.
void wake_job(Oid database, JobId id);
// The same for all jobs of the database.
void wake_jobs(Oid database);
// A long statement does not look at what its job is told: SIGINT for the job's workers that run one
// of that kind, or one that stops more easily, or a batch that is overdue.
void interrupt_statements(Oid database, JobId id, InStatement kind);
// The same for the repeatable ones and batches of all jobs of the database.
void interrupt_repeatable(Oid database);
// Jobs of this database that are not of this extension (InvalidOid: of any) are gone: their waiters
// are told, and workers in a long statement or a batch interrupted.
void forget_other_jobs(const Home &home);
// A state as committed: seen by waiters at once.
void publish_state(const Home &home, JobId id, JobState state);

} // namespace safe_migrate::jobs
