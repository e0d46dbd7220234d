// What the runners of statement steps share.
#pragma once
#include "jobs/step_context.hpp"
#include "operations/ddl/step.hpp"

namespace safe_migrate::operations::ddl {

struct StepRun {
	jobs::StepContext *context;
	RecipeStep *step;
	int strongest; // lock mode
};

StepRun begin_run(jobs::StepContext *context); // allocates in the current memory context

// Inside a batch: the step's locks, in their order.
void take_locks(const StepRun &run);
// Inside a batch: is there nothing left to do?
bool is_done(const StepRun &run);

// Before a batch that asks for AccessExclusiveLock.
jobs::Go wait_for_standbys(StepRun *run);

// After the step has failed for good: what stands in the way and what is left goes into the error
// that the job keeps.
void explain_failure(const StepRun &run);

// Takes away what an earlier try left, or the failed step; nullptr when there is nothing any more.
ErrorData *clean_up(StepRun *run, bool top_level);
void clean_up_after_failure(StepRun *run, bool top_level);

// A statement with transactions of its own, as the job's owner, with names found in pg_catalog
// alone and without a lock_timeout; cancel() interrupts it.
ErrorData *run_own_top_level(jobs::StepContext *context, const char *sql);

} // namespace safe_migrate::operations::ddl
