// What a running step may ask of the engine.
#pragma once
#include "jobs/job.hpp"
#include "pg/postgres.hpp"

namespace safe_migrate::jobs {

struct BatchLog { // what a batch adds to the job's progress
	int64 rows_written;
	int64 rows_seen;
	int64 units_done;  // blocks
	int64 units_total; // of this pass, all slices; 0 = unchanged
};

enum class Go : uint8_t {
	on,	 // next batch
	stop // paused, cancelled, terminated, disabled for good: return from run()
};

struct StepContext {
	JobId job_id;
	int step_no;
	int worker_number;		// 0 leads; helpers take slices only
	int workers;			// wanted now (configure() may change it)
	Oid owner;
	const char *definition; // step.definition, jsonb text
	MemoryContext memory;	// lives as long as the step runs in this worker

	// Between batches, outside a transaction: reloads settings, obeys pause/cancel/enabled,
	// sleeps for nice_ratio × the last batch and while throttled (writes = true). Returns when
	// the next batch may start, or with Go::stop.
	Go next_batch(bool writes);

	// Runs body in a top-level transaction as the job's owner with forced settings and
	// lock_timeout, a snapshot pushed.  An error that may pass by itself is counted, logged as
	// an event, waited for with back-off, and false is returned (look again, try again); any
	// other error fails the job: it is re-thrown to the worker's main loop.
	bool run_batch(void (*body)(void *), void *arg, int lock_timeout_ms);

	void report(const BatchLog &log);					 // to shared memory
	void set_phase(const char *phase);					 // short, no SQL: shown in pg_stat_activity
	void set_condition(Condition c, const char *detail); // why it is not working; none = working
	void wait_us(int64 us);								 // interruptible, obeys control
	void event(const char *kind, const char *detail);	 // in a transaction, or opens one

	// Settings of this job: its own value where stricter, else the server's.
	int64 batch_target_us() const;
	int64 horizon_patience_ms() const;
	int64 lock_patience_ms() const;
};

} // namespace safe_migrate::jobs
