// See later_step.hpp.
#include "operations/apply/later_step.hpp"

#include "operations/apply/names.hpp"
#include "operations/apply/translate.hpp"
#include "operations/ddl/step.hpp"
#include "operations/ddl/step_run.hpp"
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

void add_later_step(ddl::Recipe *recipe, const Unit &unit, const char *names)
{
	ddl::RecipeStep *step = ddl::add_step(recipe, "apply", unit.sql);
	StringInfoData json;
	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	pg::json_text(&json, "sql", unit.sql);
	pg::json_number(&json, "number", unit.number);
	pg::json_text(&json, "names", names);
	appendStringInfoChar(&json, '}');
	step->definition = json.data;
	step->plan = plan_step;
}

namespace {

void add_unit(ddl::Recipe *recipe, const Unit &unit)
{
	bool checks;
	Earlier none = {};
	ddl::Recipe steps = *recipe;
	steps.steps = NIL;
	add_steps(&steps, unit, &checks);
	expect_names(&steps, names_of(unit, &none));
	steps.steps = list_concat(recipe->steps, steps.steps);
	*recipe = steps;
}

// Of an ALTER TABLE that is not brief as one its first part; the others have their turn after it.
void plan_stored(ddl::Recipe *recipe, JsonbContainer *stored)
{
	const Unit *unit = read_unit(pg::json_get_text(stored, "sql"),
								 static_cast<int>(pg::json_get_number(stored, "number", 0)));
	ddl::check_names(pg::json_get_text(stored, "names"));
	if (unit->parts == NIL || is_brief_as_one(*unit)) {
		add_unit(recipe, *unit);
		return;
	}
	add_unit(recipe, *static_cast<const Unit *>(linitial(unit->parts)));
	ListCell *cell;
	for_each_from(cell, unit->parts, 1)
		add_later_step(recipe, *static_cast<const Unit *>(lfirst(cell)), nullptr);
}

} // namespace

void run_apply_step(jobs::StepContext *context) { ddl::run_planned_step(context, plan_stored); }

} // namespace safe_migrate::operations::apply
