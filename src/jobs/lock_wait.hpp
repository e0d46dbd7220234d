// A step that did not get a lock: out of the queue for a while, with the blocker named in progress.
#pragma once
#include "jobs/step_context.hpp"

namespace safe_migrate::jobs {

// After a try for `mode` on the context's leaves has failed with 55P03: the pause before the next
// one, or, once ddl_lock_retry is over, the end of the step with an error that names who is in the
// way.  Outside a transaction.
Batch stay_away(StepContext *context, ErrorData *error, int mode);

// Shows in progress what a batch waited for that needs no strong lock of its own: `error` is its
// 55P03.  Outside a transaction.
void show_lock_wait(StepContext *context, const ErrorData &error);

} // namespace safe_migrate::jobs
