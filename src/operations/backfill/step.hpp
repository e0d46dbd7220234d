// The step of a job that backfills or purges: passes over slices until nothing matches.
#pragma once
#include "jobs/step_context.hpp"

namespace safe_migrate::operations::backfill {

void run_step(jobs::StepContext *context);

} // namespace safe_migrate::operations::backfill
