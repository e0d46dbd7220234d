// What is done with a column once it is there: planned by then, as analysing it needs the column.
#include "operations/backfill/fill.hpp"
#include "operations/column/steps.hpp"
#include "operations/constraint/add.hpp"
#include "operations/constraint/not_null.hpp"
#include "operations/ddl/step.hpp"
#include "operations/ddl/target.hpp"
#include "pg/json.hpp"

extern "C" {
#include "access/table.h"
#include "utils/rel.h"
}

namespace safe_migrate::operations::column {

namespace {

void plan(ddl::Recipe *recipe, JsonbContainer *stored)
{
	Relation relation = ddl::open_owned_table(
		static_cast<Oid>(pg::json_get_number(stored, "relation", InvalidOid)));
	const char *column = pg::json_get_text(stored, "column");
	const char *fill = pg::json_get_text(stored, "fill");
	if (const char *constraint = pg::json_get_text(stored, "constraint"))
		constraint::add_constraint_steps(recipe, relation,
										 constraint::read_definition(relation, constraint));
	else if (pg::json_get_bool(stored, "not_null", false))
		constraint::add_not_null_steps(recipe, relation, column, fill);
	else
		backfill::add_fill_step(recipe, RelationGetRelid(relation), column, fill);
	table_close(relation, NoLock);
}

} // namespace

void run_part_step(jobs::StepContext *context) { ddl::run_planned_step(context, plan); }

} // namespace safe_migrate::operations::column
