// One slice in one worker: claim, batches, cursor, horizon.
#pragma once
#include "jobs/step_context.hpp"
#include "operations/backfill/definition.hpp"
#include "operations/backfill/slices.hpp"

namespace safe_migrate::operations::backfill {

// Works on the slice to its end where nobody else holds it.  False = told to stop.
bool work_on_slice(jobs::StepContext *context, const Definition &definition, Slice slice);

} // namespace safe_migrate::operations::backfill
