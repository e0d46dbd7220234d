// What a worker knows of the steps of jobs: a table of runners by their kinds, handed down from
// operations/ by extension.cpp.  A step converges: it looks for what is missing, does it, and can
// be run again after a crash at any point.
#pragma once

namespace safe_migrate::jobs {

struct StepContext; // jobs/step_context.hpp: batches, control, progress

struct StepRunner {
	const char *kind; // as stored in step.kind
	// Runs outside a transaction, to the end of the step (context->done) or until it is told to
	// stop.  Helpers call it too: they take slices and return.
	void (*run)(StepContext *context);
};

// Set once from _PG_init.
void register_step_runners(const StepRunner *runners, int n);
// nullptr: a newer version of the extension queued it.
const StepRunner *find_step_runner(const char *kind);

} // namespace safe_migrate::jobs
