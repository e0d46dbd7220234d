// One slice in one worker: claim, batches, cursor, horizon.
#pragma once
#include "jobs/step_context.hpp"
#include "operations/backfill/definition.hpp"
#include "operations/backfill/own_writes.hpp"
#include "operations/backfill/slices.hpp"

namespace safe_migrate::operations::backfill {

// Works on the slice to its end where nobody else holds it.  False = told to stop.  `own` is read
// where a later pass of a job whose texts read the table asks for it.
bool work_on_slice(jobs::StepContext *context, const Definition &definition, Slice slice,
				   OwnWrites *own);

} // namespace safe_migrate::operations::backfill
