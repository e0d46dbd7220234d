// VACUUM (ANALYZE) after a backfill or purge, as a step of its own.
#pragma once
#include "jobs/step_context.hpp"

namespace safe_migrate::operations {

// The new column needs statistics, the pages their visibility bits.  A table that vanished
// meanwhile is no error.  Waits for its locks without end, visibly and out of their queue, as they
// are in nobody's way but that of other maintenance; cancel(), pause() and safe_migrate.enabled =
// off interrupt it.
void run_vacuum(jobs::StepContext *context);

} // namespace safe_migrate::operations
