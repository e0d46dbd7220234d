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

// The same under the name that the statement gives, or that the server would choose now.  42P07
// where another relation has it (IF NOT EXISTS: a notice, and nothing is added).
void add_statement_steps(ddl::Recipe *recipe, const Definition &definition);
bool is_to_be_made(const Definition &definition);
void check_name(const Definition &definition, const char *name);

// Would partitions have indexes of their own that it makes its parts, and takes along when it goes?
bool takes_others(const Definition &definition);

bool is_valid_index(Oid index);
// The table's part of an index of its parent; InvalidOid where it has none.
Oid part_of_index(Oid table, Oid index);
// ALTER INDEX … ATTACH PARTITION of the two qualified names; table: the parent's.
ddl::RecipeStep *add_attach_step(ddl::Recipe *recipe, const char *parent, const char *part,
								 Oid table);

// The steps that drop it: concurrently, or, of a partitioned table, with brief locks on all of it.
// What depends on it is the caller's to look for.
void add_drop_steps(ddl::Recipe *recipe, Oid index);

// An index, or all indexes of a table, on all partitions, is built anew concurrently, in another
// tablespace where one is named; what of it can't be is left out with a NOTICE.  Errors: 42501
// unless the current user owns it, 42809 for what has no indexes, 0A000 for the index of an
// exclusion constraint.  Nothing is added where there is nothing to do.
void add_reindex_steps(ddl::Recipe *recipe, Oid index_or_table, const char *tablespace);
void run_reindex_step(jobs::StepContext *context);

// The runners: one CREATE INDEX, concurrently or (ON ONLY a partitioned table) not.
void run_build_step(jobs::StepContext *context);
void run_only_step(jobs::StepContext *context);

} // namespace safe_migrate::operations::index
