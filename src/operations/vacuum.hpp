// VACUUM (ANALYZE) after a backfill or purge, as a step of its own.
#pragma once
#include "jobs/step_context.hpp"

namespace safe_migrate::operations {

// The new column needs statistics, the pages their visibility bits.  A table that vanished
// meanwhile is no error.
void run_vacuum(jobs::StepContext *context);

} // namespace safe_migrate::operations
