// The vacuum step: see vacuum.hpp.
#include "operations/vacuum.hpp"

#include "jobs/store.hpp"
#include "jobs/worker.hpp"
#include "pg/transaction.hpp"

extern "C" {
#include "utils/builtins.h"
#include "utils/lsyscache.h"
}

namespace safe_migrate::operations {

using namespace jobs;

void run_vacuum(StepContext *context)
{
	if (context->worker_number != 0)
		return;
	context->set_phase("vacuum");
	while (context->next_batch(true) == Go::on) {
		const char *sql = nullptr;
		MemoryContext memory = context->memory;
		Batch found = context->run_batch(
			[&] {
				const char *name = get_rel_name(context->relation);
				if (!name)
					return;
				const char *schema = get_namespace_name(get_rel_namespace(context->relation));
				MemoryContext old = MemoryContextSwitchTo(memory);
				sql = psprintf("VACUUM (ANALYZE) %s", quote_qualified_identifier(schema, name));
				MemoryContextSwitchTo(old);
			},
			{});
		if (found == Batch::stop)
			return;
		if (found == Batch::again)
			continue;
		if (!context->settings.vacuum_after) // turned off since it was queued
			sql = nullptr;
		ErrorData *error = sql ? pg::run_toplevel(sql) : nullptr;
		if (error) {
			if (context->handle_error(error) == Batch::stop)
				return;
			continue;
		}
		Batch noted =
			context->run_batch([&] { finish_step(context->job_id, context->step_no); }, {});
		if (noted == Batch::committed) {
			context->done = true;
			return;
		}
		if (noted == Batch::stop)
			return;
	}
}

} // namespace safe_migrate::operations
