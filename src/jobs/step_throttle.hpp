// The throttle as a running step meets it: the job's own limits, its own readings, what is shown.
#pragma once
#include "jobs/step_context.hpp"

namespace safe_migrate::jobs {

// Forgets what the last step of this worker was told.
void begin_throttle();

// True while a signal of throttle/ is over the job's limit: shown as its condition, its beginning
// and end noted as events, of what comes again and again once a minute.  Between two batches,
// outside a transaction.
bool is_throttled(StepContext *context);

// At the step's end in this worker: what the events have not told yet of its throttling.
void end_throttle(StepContext *context);

// At the end of a batch, while its locks are held: how many sessions wait behind it, for the
// verdict before the next one.
void count_lock_waiters(const StepContext &context);

} // namespace safe_migrate::jobs
