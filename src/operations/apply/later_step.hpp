// The step that is planned when its turn comes.
#pragma once
#include "jobs/step_context.hpp"
#include "operations/apply/script.hpp"
#include "operations/ddl/recipe.hpp"

namespace safe_migrate::operations::apply {

// names: those that the server would choose when it was queued (names_of()), or nullptr.
void add_later_step(ddl::Recipe *recipe, const Unit &unit, const char *names);

// Puts the statement's own steps in its place, as the catalog is by then.
void run_apply_step(jobs::StepContext *context);

} // namespace safe_migrate::operations::apply
