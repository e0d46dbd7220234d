// What is done with a column once it is there: planned by then, as analysing it needs the column.
#include "jobs/operation.hpp"
#include "jobs/store.hpp"
#include "operations/backfill/fill.hpp"
#include "operations/column/steps.hpp"
#include "operations/constraint/add.hpp"
#include "operations/constraint/not_null.hpp"
#include "operations/ddl/sql.hpp"
#include "operations/ddl/target.hpp"
#include "pg/json.hpp"
#include "statement/relations.hpp"

extern "C" {
#include "access/table.h"
#include "storage/lockdefs.h"
#include "utils/builtins.h"
#include "utils/rel.h"
}

namespace safe_migrate::operations::column {

using namespace jobs;
using ddl::quoted_name;

namespace {

void add_fill(ddl::Recipe *recipe, Oid oid, const char *column, const char *fill)
{
	ddl::RecipeStep *step =
		ddl::add_step(recipe, "backfill",
					  psprintf("UPDATE %s SET %s WHERE %s IS NULL", quoted_name(oid),
							   backfill::fill_assignment(column, fill), quote_identifier(column)));
	step->definition = backfill::fill_step_definition(oid, column, fill);
	step->description =
		psprintf("fill column %s of %s", quote_identifier(column), quoted_name(oid));
}

void expand(StepContext *context)
{
	JsonbContainer *stored = pg::json_parse(context->definition);
	Relation relation = ddl::open_owned_table(
		static_cast<Oid>(pg::json_get_number(stored, "relation", InvalidOid)));
	const char *column = pg::json_get_text(stored, "column");
	const char *fill = pg::json_get_text(stored, "fill");
	const char *constraint = pg::json_get_text(stored, "constraint");
	ddl::Recipe recipe = {};
	if (constraint)
		constraint::add_constraint_steps(&recipe, relation,
										 constraint::read_definition(relation, constraint));
	else if (pg::json_get_bool(stored, "not_null", false))
		constraint::add_not_null_steps(&recipe, relation, column, fill);
	else
		add_fill(&recipe, RelationGetRelid(relation), column, fill);
	table_close(relation, NoLock);
	int n = 0;
	NewStep *steps = ddl::stored_steps(recipe, &n);
	replace_step(context->job_id, context->step_no, steps, n);
}

} // namespace

void run_part_step(StepContext *context)
{
	if (context->worker_number != 0)
		return;
	MemoryContext old = MemoryContextSwitchTo(context->memory);
	context->set_phase("planning");
	BatchOptions options = {};
	Batch batch = Batch::again;
	while (batch == Batch::again && context->next_batch(false) == Go::on) {
		options.lock_timeout_ms = context->settings.ddl_lock_try;
		options.lock_mode = AccessShareLock;
		batch = context->run_batch([&] { expand(context); }, options);
	}
	if (batch == Batch::committed)
		context->done = true;
	MemoryContextSwitchTo(old);
}

} // namespace safe_migrate::operations::column
