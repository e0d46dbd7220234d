// See later_step.hpp.
#include "operations/apply/later_step.hpp"

#include "operations/apply/translate.hpp"
#include "operations/ddl/step.hpp"
#include "pg/json.hpp"

extern "C" {
#include "lib/stringinfo.h"
}

namespace safe_migrate::operations::apply {

namespace {

void plan_stored(ddl::Recipe *recipe, JsonbContainer *stored);

void plan_step(ddl::Recipe *recipe, const ddl::RecipeStep &step)
{
	plan_stored(recipe, pg::json_parse(step.definition));
}

} // namespace

void add_later_step(ddl::Recipe *recipe, const Unit &unit)
{
	ddl::RecipeStep *step = ddl::add_step(recipe, "apply", unit.sql);
	StringInfoData json;
	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	pg::json_text(&json, "sql", unit.sql);
	pg::json_number(&json, "number", unit.number);
	appendStringInfoChar(&json, '}');
	step->definition = json.data;
	step->plan = plan_step;
}

namespace {

// Of an ALTER TABLE that is not brief as one its first part; the others have their turn after it.
void plan_stored(ddl::Recipe *recipe, JsonbContainer *stored)
{
	const Unit *unit = read_unit(pg::json_get_text(stored, "sql"),
								 static_cast<int>(pg::json_get_number(stored, "number", 0)));
	bool checks;
	if (unit->parts == NIL || is_brief_as_one(*unit)) {
		add_steps(recipe, *unit, &checks);
		return;
	}
	add_steps(recipe, *static_cast<const Unit *>(linitial(unit->parts)), &checks);
	ListCell *cell;
	for_each_from(cell, unit->parts, 1)
		add_later_step(recipe, *static_cast<const Unit *>(lfirst(cell)));
}

} // namespace

void run_apply_step(jobs::StepContext *context) { ddl::run_planned_step(context, plan_stored); }

} // namespace safe_migrate::operations::apply
