// One CREATE INDEX.  What is there under the name decides: nothing, a wreck of an earlier try, the
// very index, or another one.
#include "operations/index/steps.hpp"

#include "operations/ddl/sql.hpp"
#include "operations/ddl/step_run.hpp"

extern "C" {
#include "utils/lsyscache.h"
}

namespace safe_migrate::operations::index {

using ddl::Found;
using ddl::StepRun;

namespace {

[[noreturn]] void refuse_other(Oid found)
{
	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_TABLE),
			 errmsg("relation \"%s\" already exists, and is another one", get_rel_name(found)),
			 errhint("Rename or drop it, then call safe_migrate.retry().")));
	pg_unreachable();
}

Found look(StepRun *run)
{
	Oid found;
	MemoryContext memory = run->context->memory;
	ddl::check_target(*run->step);
	switch (compare_existing(run->step->sql, &found)) {
		case Existing::none:
			return Found::nothing;
		case Existing::same:
			return Found::done;
		case Existing::same_invalid: {
			MemoryContext old = MemoryContextSwitchTo(memory);
			run->step->cleanup = psprintf("DROP INDEX CONCURRENTLY %s", ddl::quoted_name(found));
			MemoryContextSwitchTo(old);
			return Found::wreck;
		}
		case Existing::different:
			refuse_other(found);
	}
	return Found::nothing;
}

// An index of a partitioned table is invalid until all partitions have theirs.
Found look_only(StepRun *run)
{
	Oid found;
	ddl::check_target(*run->step);
	Existing existing = compare_existing(run->step->sql, &found);
	if (existing == Existing::different)
		refuse_other(found);
	return existing == Existing::none ? Found::nothing : Found::done;
}

} // namespace

void run_build_step(jobs::StepContext *context)
{
	ddl::run_step(context, "building an index", look, ddl::run_at_top_level);
}

void run_only_step(jobs::StepContext *context)
{
	ddl::run_step(context, "schema change", look_only, ddl::run_in_transaction);
}

} // namespace safe_migrate::operations::index
