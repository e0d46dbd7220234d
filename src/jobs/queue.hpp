// Jobs as they begin: what a *_safely function hands in is stored in the caller's transaction, and
// starts when that commits.
#pragma once
#include "jobs/job.hpp"
#include "pg/postgres.hpp"

namespace safe_migrate::jobs {

// A step to be stored with a job.
struct NewStep {
	const char *kind;
	const char *definition; // jsonb text
	const char *description;
};

// A job to be stored by a *_safely function.  Everything here has been validated.
struct NewJob {
	const char *name; // nullptr = unnamed
	const char *kind;
	Oid relation;
	const char *relation_name;
	const char *definition;		 // jsonb text
	const char *definition_text; // normalised call
	const char *settings;		 // jsonb text, validated by validate_job_settings()
	int workers;
	const NewStep *steps;
	int n_steps;
	// Where the job of that name has another definition: is it the same in other words?  It is
	// given that job's first step; nullptr = never.
	bool (*is_same)(const char *step_definition, void *argument);
	void *argument;
	bool renews_steps; // of a failed or cancelled job that a second call queues again: these then
};

// Stores the job in the caller's transaction under the current user and returns its id;
// it starts at commit.  A second call with the same name and definition returns the id that
// is there, with a NOTICE (a failed or cancelled one is queued again); with another
// definition: error 42710, unless it has ended and its table is gone, when the name is the new
// job's.  Where a job of that name exists, *existed is set.
JobId queue_job(const NewJob &job, bool *existed);

// The same for work that was done in the caller's own transaction: succeeded at its commit.
JobId record_inline_job(const NewJob &job, int64 rows_written, int64 elapsed_us);

// Looks for a job of this owner and name before inline work is done again: its id where the
// same definition is there in state succeeded, 0 where it has to be done.  Errors as queue_job.
JobId find_finished_job(const NewJob &job);

// For operations whose steps depend on the catalog, which a half-done job has changed: the id of
// the job of this owner, name and definition, a failed or cancelled one queued again; 0 where there
// is none.  Errors as queue_job.
JobId take_up_job(const NewJob &job);

} // namespace safe_migrate::jobs
