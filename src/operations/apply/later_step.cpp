// See later_step.hpp.
#include "operations/apply/later_step.hpp"

#include "operations/apply/translate.hpp"
#include "operations/ddl/step.hpp"
#include "pg/json.hpp"

extern "C" {
#include "parser/parser.h"
}

namespace safe_migrate::operations::apply {

namespace {

void plan(ddl::Recipe *recipe, JsonbContainer *stored)
{
	Unit unit = {};
	unit.sql = pg::json_get_text(stored, "sql");
	unit.number = static_cast<int>(pg::json_get_number(stored, "number", 0));
	unit.statement = linitial_node(RawStmt, raw_parser(unit.sql, RAW_PARSE_DEFAULT))->stmt;
	bool checks;
	add_steps(recipe, unit, &checks);
}

} // namespace

void run_apply_step(jobs::StepContext *context) { ddl::run_planned_step(context, plan); }

} // namespace safe_migrate::operations::apply
