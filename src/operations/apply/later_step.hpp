// The step that is planned when its turn comes.
#pragma once
#include "jobs/step_context.hpp"

namespace safe_migrate::operations::apply {

// Puts the statement's own steps in its place, as the catalog is by then.
void run_apply_step(jobs::StepContext *context);

} // namespace safe_migrate::operations::apply
