// What a running step may ask of the engine.
#pragma once
#include "jobs/job.hpp"
#include "pg/lock_patience.hpp"
#include "pg/postgres.hpp"
#include "settings.hpp"

extern "C" {
#include "datatype/timestamp.h"
}

namespace safe_migrate::jobs {

struct BatchLog { // what a batch adds to the job's progress
	int64 rows_written;
	int64 rows_seen;
	int64 units_done;  // blocks
	int64 units_total; // where there are more or fewer to do than start_units() said
};

enum class Go : uint8_t {
	on,	 // next batch
	stop // paused, cancelled, failed: return from run()
};

enum class Batch : uint8_t {
	committed,
	again, // rolled back by an error that may pass: look again, try again
	stop   // rolled back for good, or told to stop: return from run()
};

struct BatchOptions {
	int lock_timeout_ms;   // 0 = none
	bool asynchronous;	   // commit without waiting for the disk: work that can be redone
	bool without_triggers; // as under session_replication_role = replica
	int lock_mode;		   // strongest lock it asks for on the context's leaves, where it has one
						   // patiently: a lock timeout is no error until ddl_lock_retry is over
};

// Tries for a step's locks that failed, as pg/lock_patience.hpp wants to know them.
struct LockTries {
	TimestampTz since; // 0 = none
	pg::Waiting course;
	pg::NextMove move; // that the last look at the holders led to: a stay, or a pause without one
};

// What a step waits for itself, between its batches: shown whenever nothing else keeps it.
struct Waits {
	Condition condition;
	char detail[200];
	int32 pid;
};

struct StepContext {
	JobId job_id;
	int step_no;
	int worker_number;	   // 0 leads; helpers take slices only
	int workers;		   // wanted now (configure() may change it)
	bool takes_helpers;	   // the step is where others may share its slices
	int last_error;		   // SQLSTATE of the last batch that failed
	bool errors_are_final; // even those that are otherwise tried again
	bool waits_for_locks;  // without end: for those that hold up nobody's reading and writing
	Oid owner;
	Oid relation;				  // the job's
	const char *definition;		  // step.definition, jsonb text
	const char *session_settings; // of who queued it
	Oid *leaves;				  // the tables the step writes, where it has said so
	int n_leaves;
	MemoryContext memory; // lives as long as the step runs in this worker
	JobSettings settings; // of this job, now
	bool done;			  // set by the step when it has finished itself (finish_step)
	bool gave_up;		  // batch errors used up their tries, or an error that won't pass:
	ErrorData *failure;	  // this one
	LockTries locks;
	TimestampTz lock_timeout_at; // of the last batch that waited for a lock in vain; 0 = none
	Waits waits;				 // none = it works, or is about to
	bool trouble;				 // its bookkeeping failed: the job goes on in another process
	// What its next batch would fail of, looked at from time to time while it is throttled: raises
	// the error of that, writes nothing, and waits for no lock; nullptr = nothing to look at
	void (*check_work)(void *);
	void *work; // its argument

	// Between batches, outside a transaction: reloads settings, obeys pause, cancel and
	// safe_migrate.enabled, waits out a retry, sleeps nice_ratio × the last batch, and, where the
	// step is about to write, while throttled. Returns when the next batch may start, or to stop.
	Go next_batch(bool writes);

	// Runs body(arg) in a top-level transaction as the job's owner, under the settings of the
	// session that queued it, with a snapshot pushed. Takes the job's claim again where an abort
	// lost it. An error that may pass is counted and noted as an event; next_batch() waits for its
	// pause.
	Batch run_batch(void (*body)(void *), void *arg, const BatchOptions &options);
	template <class F> Batch run_batch(F &&body, const BatchOptions &options)
	{
		using Fn = std::remove_reference_t<F>;
		return run_batch([](void *a) { (*static_cast<Fn *>(a))(); },
						 const_cast<void *>(static_cast<const void *>(&body)), options);
	}
	// The same, again and again until it has committed: for what writes none of the tables' rows.
	// False where it is time to stop.
	template <class F> bool run_until_committed(F &&body, const BatchOptions &options)
	{
		Batch batch = Batch::again;
		while (batch == Batch::again && next_batch(false) == Go::on)
			batch = run_batch(body, options);
		return batch == Batch::committed;
	}
	// An error found outside run_batch (a top-level statement of the step's): as run_batch has it.
	Batch handle_error(ErrorData *error);

	// In the middle of a long batch: does control or a new configuration want next_batch()?
	bool is_called() const;

	// Around a statement that may take long: cancel() interrupts it, and where it may begin anew,
	// pause() and safe_migrate.enabled = off as well.  False where the job was told something since
	// next_batch(): look again.
	bool begin_statement(bool repeatable = false);
	void end_statement();

	// Whether sessions other than workers write, whose commits wait for this one's WAL as well.
	static bool others_write();

	// Sleeps at most this long, woken by control; the caller looks again by next_batch().
	void wait_ms(int64 ms);

	// To shared memory.
	void start_units(int64 units_total, int pass);
	void report(const BatchLog &log);
	static void begin_rates();		   // it has stood still: what comes is measured from now on
	void set_phase(const char *phase); // short, no SQL: shown in pg_stat_activity
	// Why it is not working; none = working. Returns true when that is news.
	bool set_condition(Condition condition, const char *detail, int32 waiting_for_pid = 0);
	// The same for what the step waits for over several batches, until end_wait().
	void begin_wait(Condition condition, const char *detail, int32 waiting_for_pid);
	void end_wait();
	// An event of its own transaction (never fails the job).
	void note_event(const char *kind, const char *detail);
	// How many workers may take slices now; helpers are started by the scheduler.
	void want_workers(int n);
};

} // namespace safe_migrate::jobs
