// The runners of steps that change a schema.
#pragma once
#include "jobs/step_context.hpp"
#include "operations/ddl/recipe.hpp"

extern "C" {
#include "utils/jsonb.h"
}

namespace safe_migrate::operations::ddl {

// One statement, or several, in one short transaction, with its locks taken politely before.
void run_statement_step(jobs::StepContext *context);

// One statement that can't run in a transaction block (CREATE INDEX CONCURRENTLY, …), its lock
// taken politely for the session before.
void run_top_level_step(jobs::StepContext *context);

// The same for a step that stands for others, planned when its turn comes: `plan` adds them to the
// recipe, with the step's own definition before it, and they take its place.
using Planner = void (*)(Recipe *recipe, JsonbContainer *definition);
void run_planned_step(jobs::StepContext *context, Planner plan);

// Tells of a statement that is run as it was written what takes it back: asked under its locks, as
// others may have made or changed meanwhile what it is about.
using UndoTeller = char *(*)(const char *sql);
void tell_undo_by(UndoTeller teller);

// The step as it is stored, and read back in a worker.
char *step_definition(const RecipeStep &step);
RecipeStep *read_step(const char *definition);

} // namespace safe_migrate::operations::ddl
