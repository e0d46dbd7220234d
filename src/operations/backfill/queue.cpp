// backfill() and delete_safely(): from the call to a stored job, or to work done at once.
#include "jobs/queue.hpp"
#include "operations/backfill/asked_again.hpp"
#include "operations/backfill/inline.hpp"
#include "operations/backfill/resolve.hpp"
#include "operations/backfill/row_analysis.hpp"
#include "operations/backfill/stored_texts.hpp"
#include "operations/call.hpp"
#include "pg/arguments.hpp"
#include "pg/boundary.hpp"
#include "pg/compat_analysis.hpp"
#include "pg/pinned_settings.hpp"
#include "pg/transaction.hpp"
#include "settings.hpp"

extern "C" {
#include "portability/instr_time.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
}

namespace safe_migrate::operations::backfill {

namespace {

constexpr int max_workers_per_job = 32;

// The arguments that both functions take beside what they are to do.
struct Wanted : Options {
	int workers;
};

// job_name, workers, fire_triggers, settings from the n-th argument on.
Wanted read_wanted(FunctionCallInfo fcinfo, int n, Request *request)
{
	Wanted options = {};
	options.job_name = job_name_argument(fcinfo, n);
	pg::refuse_null(fcinfo, n + 1, "workers");
	options.workers = PG_GETARG_INT32(n + 1);
	if (options.workers < 1 || options.workers > max_workers_per_job)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("workers must be between 1 and %d, not %d", max_workers_per_job,
							   options.workers)));
	pg::refuse_null(fcinfo, n + 2, "fire_triggers");
	request->fire_triggers = PG_GETARG_BOOL(n + 2);
	options.settings = settings_argument(fcinfo, n + 3);
	return options;
}

char *qualified_name(Relation rel)
{
	return quote_qualified_identifier(get_namespace_name(RelationGetNamespace(rel)),
									  RelationGetRelationName(rel));
}

// What a person reads: the statement that the job amounts to.
char *definition_text(const Definition &definition, const char *name)
{
	StringInfoData text;
	initStringInfo(&text);
	if (definition.action == RowAction::update)
		appendStringInfo(&text, "UPDATE %s AS target SET ", name);
	else
		appendStringInfo(&text, "DELETE FROM %s AS target", name);
	for (int i = 0; i < definition.n_assignments; i++)
		appendStringInfo(&text, "%s%s = %s", i == 0 ? "" : ", ",
						 quote_identifier(definition.assignments[i].column),
						 definition.assignments[i].expression);
	appendStringInfo(&text, " WHERE %s", definition.predicate);
	return text.data;
}

char *step_description(const Definition &definition, const char *name)
{
	if (definition.action == RowAction::erase)
		return psprintf("delete rows of %s", name);
	StringInfoData text;
	initStringInfo(&text);
	appendStringInfo(&text, "backfill %s of %s",
					 definition.n_assignments == 1 ? "column" : "columns", name);
	for (int i = 0; i < definition.n_assignments; i++)
		appendStringInfo(&text, "%s %s", i == 0 ? ":" : ",",
						 quote_identifier(definition.assignments[i].column));
	return text.data;
}

int make_steps(jobs::NewStep *steps, const Definition &definition, const char *name,
			   const Wanted &options)
{
	int n = 0;
	steps[n++] = {definition.action == RowAction::update ? "backfill" : "delete",
				  to_json(definition), step_description(definition, name)};
	if (effective_settings(options.settings).vacuum_after &&
		pg::may_maintain(definition.relation, GetUserId()))
		steps[n++] = {"vacuum", psprintf("{\"relation\": %u}", definition.relation),
					  psprintf("VACUUM (ANALYZE) %s", name)};
	return n;
}

struct Meant {
	const Resolved *resolved;
	Relation root;
};

// A stored text that can't be analysed any more is another one.
bool is_same(const char *step_definition, void *argument)
{
	const auto *meant = static_cast<const Meant *>(argument);
	bool same = false;
	ErrorData *error = pg::try_undone([&] {
		const Definition *stored = from_json(step_definition);
		if (stored->fire_triggers != meant->resolved->definition->fire_triggers)
			return;
		pg::PinnedSettings pinned;
		enter_for_texts(&pinned);
		same = means_the_same(*stored, meant->root, meant->resolved->query);
		pinned.leave();
	});
	if (error)
		FreeErrorData(error);
	return error == nullptr && same;
}

jobs::JobId work_inline(jobs::NewJob *job, const Resolved &resolved, const Target &target)
{
	instr_time start, elapsed;
	INSTR_TIME_SET_CURRENT(start);
	int64 written = run_inline(resolved, target);
	INSTR_TIME_SET_CURRENT(elapsed);
	INSTR_TIME_SUBTRACT(elapsed, start);
	job->n_steps = 1; // VACUUM can't run in the caller's transaction
	return jobs::record_inline_job(*job, written,
								   static_cast<int64>(INSTR_TIME_GET_MICROSEC(elapsed)));
}

jobs::JobId store(const Request &request, const Wanted &options, const Target &target)
{
	Resolved resolved = resolve(request, target);
	check_assigned_columns(target, resolved.assigned);
	check_row_security(target);
	check_rights(target, request.action, resolved.assigned, resolved.selected);

	const Definition &definition = *resolved.definition;
	char *name = qualified_name(target.root);
	jobs::NewStep steps[2];
	jobs::NewJob job = {};
	job.name = options.job_name;
	job.kind = request.action == RowAction::update ? "backfill" : "delete";
	job.relation = definition.relation;
	job.relation_name = name;
	job.definition = to_json_without_objects(definition);
	job.definition_text = definition_text(definition, name);
	job.settings = options.settings;
	job.workers = options.workers;
	job.steps = steps;
	Meant meant = {&resolved, target.root};
	job.is_same = is_same;
	job.argument = &meant;
	job.renews_steps = true;
	job.n_steps = make_steps(steps, definition, name, options);

	// A migration that is run again finds its job before it finds that nothing is left to do.
	jobs::JobId id = jobs::find_finished_job(job);
	if (id != 0)
		return id;
	if (request.action == RowAction::update && request.predicate == nullptr)
		check_nullable(resolved, target);
	if (is_done_inline(target))
		return work_inline(&job, resolved, target);
	if (request.action == RowAction::update)
		note_indexes(target, definition);
	note_asked_again(resolved.query->jointree->quals, target.relations);
	bool existed;
	return jobs::queue_job(job, &existed);
}

jobs::JobId accept(Oid relation, const Request &request, const Wanted &options)
{
	if (!request.fire_triggers)
		check_may_disable_triggers();
	Target target = open_target(relation, request.action);
	jobs::JobId id = store(request, options, target);
	close_target(target);
	return id;
}

} // namespace

} // namespace safe_migrate::operations::backfill

SAFE_MIGRATE_OPERATION(safe_migrate_backfill)
{
	using namespace safe_migrate::operations;
	using namespace safe_migrate::operations::backfill;
	using safe_migrate::pg::text_argument;
	begin_call(fcinfo, "backfill()", {"relation", "assignments"});
	Request request = {RowAction::update, text_argument(fcinfo, 1), text_argument(fcinfo, 2), true};
	Wanted options = read_wanted(fcinfo, 3, &request);
	PG_RETURN_INT64(accept(PG_GETARG_OID(0), request, options));
}

SAFE_MIGRATE_OPERATION(safe_migrate_delete_safely)
{
	using namespace safe_migrate::operations;
	using namespace safe_migrate::operations::backfill;
	using safe_migrate::pg::text_argument;
	begin_call(fcinfo, "delete_safely()", {"relation", "predicate"});
	Request request = {RowAction::erase, nullptr, text_argument(fcinfo, 1), true};
	Wanted options = read_wanted(fcinfo, 2, &request);
	PG_RETURN_INT64(accept(PG_GETARG_OID(0), request, options));
}
