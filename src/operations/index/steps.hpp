// Steps about indexes, for all operations that need them.
#pragma once
#include "jobs/step_context.hpp"
#include "operations/ddl/recipe.hpp"
#include "operations/index/definition.hpp"

namespace safe_migrate::operations::index {

// The steps that build it under that name, on a partitioned table on every leaf.  label: what the
// names of the partitions' indexes end with ("idx", "key", "pkey").
void add_create_steps(ddl::Recipe *recipe, const Definition &definition, const char *name,
					  const char *label);

// The steps that drop it: concurrently, or, of a partitioned table, with brief locks on all of it.
// What depends on it is the caller's to look for.
void add_drop_steps(ddl::Recipe *recipe, Oid index);

// One index, of a table with storage, is built anew concurrently.
void add_reindex_step(ddl::Recipe *recipe, Oid index);
void run_reindex_step(jobs::StepContext *context);

// The runners: one CREATE INDEX, concurrently or (ON ONLY a partitioned table) not.
void run_build_step(jobs::StepContext *context);
void run_only_step(jobs::StepContext *context);

} // namespace safe_migrate::operations::index
