// Adding a column whose definition would have the server write or scan the table under its lock.
#pragma once
#include "jobs/step_context.hpp"
#include "operations/column/definition.hpp"
#include "operations/ddl/recipe.hpp"

namespace safe_migrate::operations::column {

// Errors for what no ADD COLUMN could do: 42701 where the column is there, …; by the name alone,
// and of all that the definition says.
void check_name(Relation relation, const char *column);
void check_column(Relation relation, const Definition &definition);

// The same, and error 0A000 for what can't be taken apart, with the reason; 23502 for a NOT NULL
// that the rows can't meet.
void add_column_steps(ddl::Recipe *recipe, Relation relation, const Definition &definition);

// A part that is planned when the column is there: its steps take its place.
void run_part_step(jobs::StepContext *context);

} // namespace safe_migrate::operations::column
