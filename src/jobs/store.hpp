// The job tables: the truth of the engine.  Every function needs a transaction of the
// caller's and writes as the extension's owner; nothing here runs user-written code.
#pragma once
#include "jobs/job.hpp"
#include "jobs/state.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
}

namespace safe_migrate::jobs {

struct NewStep;

// One row of job; strings palloc'd in the caller's context, nullptr where NULL.
struct JobRow {
	JobId id;
	char *name;
	char *kind;
	Oid relation;
	char *relation_name;
	char *settings;
	char *session_settings;
	JobState state;
	char *state_reason;
	Oid owner;
	Oid session_role;
	int workers;
	bool at_home;		  // queued in this cluster and database
	TimestampTz retry_at; // 0 = none
	int attempts;
	int starts; // noted, and not forgotten yet
	int step_count;
	char *error_sqlstate, *error_message, *error_detail, *error_hint, *error_statement;
};

JobRow *load_job(JobId id, bool lock); // nullptr when there is none; lock = FOR NO KEY UPDATE
// Locks its row where that is free, without waiting.  False: another transaction has it, or there
// is none.
bool is_job_free(JobId id);

// Ids of the jobs the scheduler has to care for: queued or running, oldest first.
struct JobList {
	int n;
	JobRow *rows;
};
JobList load_active_jobs();

// A leading worker that is about to begin is noted, and forgotten when it has worked for a while or
// has ended in order: what is left counts crashes of the server.
void note_start(JobId id);
void forget_starts(JobId id);

// Moves the job as the state machine allows; writes the row, the event and the NOTIFY. The row
// is locked. Returns the transition that was made (nothing is written unless it `moves`).
Transition move_job(JobId id, Action action, Oid role, const char *reason);

// Has the current transaction queued it, first or again?  For a job whose state is queued.
bool is_queued_by_this_transaction(JobId id);

// Marks it as failed with the whole error; the statement may be null.
void fail_job(JobId id, const ErrorData *error, const char *statement);
// Of several steps that change a schema, those that are done stay: an event says so, once.
void note_what_is_left(JobId id);
// A retry that is being waited for.
void note_retry(JobId id, const ErrorData *error, int attempt, int64 wait_us);
void clear_retry(JobId id);
// The last step of a job that works on rows, where it has none: vacuum_after was turned on.
void add_vacuum_step(JobId id);

// By all steps and slices; of those under way as of a while ago.
int64 rows_written(JobId id);

void add_event(JobId id, const char *kind, Oid role, const char *detail);
bool was_overridden(JobId id); // what it does, when it was queued
// For everything that changes a state: the event, and the word to whoever listens.
void announce(JobId id, const char *kind, Oid role, const char *detail);

JobState parse_state(const char *name); // as the column `state` has it

// A job that was queued in another cluster or database, of which this one is a copy, is run there,
// and never here: it is no more than paused, whatever its row says.
bool is_at_home(int64 system_identifier, Oid database);
int hint_elsewhere(); // errhint of what to do where it is wanted here

struct StepRow {
	int step_no;
	char *kind;
	char *definition;
	int pass;
};
StepRow *load_current_step(JobId id); // the first that is not done; nullptr = all done
void start_step(JobId id, int step_no);
void finish_step(JobId id, int step_no);
// What takes its work back, as it is known when it is done; nullptr: it did nothing.
void set_undo(JobId id, int step_no, const char *undo);
// Those before it that something takes back, the last one first, as a list of StepRow *.
List *load_steps_with_undo(JobId id, int before_step);
// Of a step whose statement commits by itself: what is found done later was done by it, or not.
void mark_begun(JobId id, int step_no, bool begun);
// One that is pending, or, done in the caller's transaction, over.
void add_step(JobId id, int step_no, const NewStep &step, bool done);
// Other steps in the place of that one; those that followed it move on.
void replace_step(JobId id, int step_no, const NewStep *steps, int n);
// What they had done was taken away again: retry() does them anew, from that one on.
void reopen_steps(JobId id, int from_step_no);

} // namespace safe_migrate::jobs
