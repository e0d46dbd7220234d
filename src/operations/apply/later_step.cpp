// See steps.hpp.
#include "operations/apply/steps.hpp"

#include "jobs/operation.hpp"
#include "jobs/store.hpp"
#include "operations/apply/translate.hpp"
#include "pg/json.hpp"

extern "C" {
#include "parser/parser.h"
#include "storage/lockdefs.h"
}

namespace safe_migrate::operations::apply {

using namespace jobs;

namespace {

// Plans the statement and stores its steps, in one transaction.
void expand(StepContext *context)
{
	JsonbContainer *stored = pg::json_parse(context->definition);
	Unit unit = {};
	unit.sql = pg::json_get_text(stored, "sql");
	unit.number = static_cast<int>(pg::json_get_number(stored, "number", 0));
	unit.statement = linitial_node(RawStmt, raw_parser(unit.sql, RAW_PARSE_DEFAULT))->stmt;
	ddl::Recipe recipe = {};
	add_steps(&recipe, unit);
	int n = 0;
	NewStep *steps = ddl::stored_steps(recipe, &n);
	replace_step(context->job_id, context->step_no, steps, n);
}

} // namespace

void run_apply_step(StepContext *context)
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

} // namespace safe_migrate::operations::apply
