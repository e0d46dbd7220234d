// A step that stands for others: what they are is told by the catalog when its turn comes.
#include "jobs/queue.hpp"
#include "jobs/store.hpp"
#include "operations/ddl/step.hpp"
#include "pg/json.hpp"

extern "C" {
#include "storage/lockdefs.h"
}

namespace safe_migrate::operations::ddl {

using namespace jobs;

namespace {

// In one transaction: a crash leaves either the step or those that took its place.
void replace_by_its_steps(const StepContext &context, Planner plan)
{
	Recipe recipe = {};
	plan(&recipe, pg::json_parse(context.definition));
	int n = 0;
	NewStep *steps = stored_steps(recipe, &n);
	replace_step(context.job_id, context.step_no, steps, n);
}

} // namespace

void run_planned_step(StepContext *context, Planner plan)
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
		batch = context->run_batch([&] { replace_by_its_steps(*context, plan); }, options);
	}
	if (batch == Batch::committed)
		context->done = true;
	MemoryContextSwitchTo(old);
}

} // namespace safe_migrate::operations::ddl
