// The vacuum step: see vacuum.hpp.  Its locks are tried for and given back before the statement
// begins, so that it is seldom that it waits for one itself: then for a moment, and the step goes
// back to trying.
#include "operations/vacuum.hpp"

#include "jobs/lock_wait.hpp"
#include "jobs/store.hpp"
#include "jobs/worker.hpp"
#include "operations/ddl/step_run.hpp"
#include "pg/compat_analysis.hpp"
#include "pg/lock_table.hpp"
#include "pg/session_relations.hpp"
#include "pg/transaction.hpp"

extern "C" {
#include "catalog/pg_inherits.h"
#include "lib/stringinfo.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
}

namespace safe_migrate::operations {

using namespace jobs;

namespace {

constexpr LOCKMODE vacuum_lock = ShareUpdateExclusiveLock;
constexpr const char *own_lock_timeout = "3s"; // of the statement

struct Vacuum {
	StepContext *context;
	MemoryContext memory; // of one try
	const char *sql;	  // nullptr = there is nothing to do
};

// What it locks, in the context's leaves.
void find_relations(Vacuum *vacuum)
{
	StepContext *context = vacuum->context;
	List *all = find_all_inheritors(context->relation, NoLock, nullptr);
	context->leaves = static_cast<Oid *>(palloc(sizeof(Oid) * list_length(all)));
	ListCell *cell;
	foreach (cell, all)
		if (pg::may_maintain(lfirst_oid(cell), context->owner) && // else left out, with a WARNING
			!pg::is_other_sessions_temp(lfirst_oid(cell)))
			context->leaves[context->n_leaves++] = lfirst_oid(cell);
}

// "schema.name", nullptr where it is gone
const char *qualified_name(Oid relation)
{
	const char *name = get_rel_name(relation);
	if (!name)
		return nullptr;
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)), name);
}

// Children are named where the server does not go there by itself.
char *make_statement(const StepContext &context)
{
	StringInfoData sql;
	initStringInfo(&sql);
	appendStringInfo(&sql, "VACUUM (ANALYZE) %s", qualified_name(context.relation));
	bool descends =
		get_rel_relkind(context.relation) == RELKIND_PARTITIONED_TABLE || pg::vacuum_descends;
	for (int i = 0; i < context.n_leaves && !descends; i++) {
		const char *name = qualified_name(context.leaves[i]);
		if (name && context.leaves[i] != context.relation)
			appendStringInfo(&sql, ", %s", name);
	}
	return sql.data;
}

void try_locks(StepContext *context)
{
	pg::Obstacles obstacles = {0, 0, -1};
	for (int i = 0; i < context->n_leaves; i++)
		pg::add_obstacles(context->leaves[i], vacuum_lock, &obstacles);
	TimestampTz deadline = ddl::begin_stay_among(context, obstacles);
	for (int i = 0; i < context->n_leaves; i++) {
		ddl::stay_until(deadline);
		LockRelationOid(context->leaves[i], vacuum_lock);
		UnlockRelationOid(context->leaves[i], vacuum_lock); // there may be thousands
	}
}

// Finds out what to run, and that nobody is in its way.
Batch prepare(Vacuum *vacuum)
{
	StepContext *context = vacuum->context;
	context->n_leaves = 0;
	MemoryContextReset(vacuum->memory);
	vacuum->sql = nullptr;
	if (!context->settings.vacuum_after) // turned off since it was queued
		return Batch::committed;
	return context->run_batch(
		[vacuum, context] {
			if (!qualified_name(context->relation))
				return;
			MemoryContext old = MemoryContextSwitchTo(vacuum->memory);
			find_relations(vacuum);
			vacuum->sql = make_statement(*context);
			MemoryContextSwitchTo(old);
			try_locks(context);
		},
		{context->settings.ddl_lock_try, false, false, vacuum_lock});
}

ErrorData *set_lock_timeout(const char *value)
{
	return job_transaction(
		[value] { SetConfigOption("lock_timeout", value, PGC_USERSET, PGC_S_SESSION); });
}

// Begins anew after a pause, or where the switch safe_migrate.enabled was off.
Batch run_statement(const Vacuum &vacuum)
{
	StepContext *context = vacuum.context;
	if (!context->begin_statement(true))
		return Batch::again;
	ErrorData *error = set_lock_timeout(own_lock_timeout);
	if (!error)
		error = pg::run_toplevel(vacuum.sql, worker.activity);
	context->end_statement();
	(void)set_lock_timeout("0");
	if (!error)
		return Batch::committed;
	if (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE)
		return stay_away(context, error, vacuum_lock);
	if (error->sqlerrcode == ERRCODE_UNDEFINED_TABLE || // dropped or renamed just now
		(error->sqlerrcode == ERRCODE_QUERY_CANCELED && context->is_called()))
		return Batch::again;
	return context->handle_error(error);
}

} // namespace

void run_vacuum(StepContext *context)
{
	if (context->worker_number != 0)
		return;
	Vacuum vacuum = {};
	vacuum.context = context;
	vacuum.memory =
		AllocSetContextCreate(context->memory, "safe_migrate vacuum", ALLOCSET_DEFAULT_SIZES);
	context->waits_for_locks = true;
	context->set_phase("vacuum");
	Batch batch = Batch::again;
	while (batch == Batch::again && context->next_batch(true) == Go::on) {
		batch = prepare(&vacuum);
		if (batch == Batch::committed && vacuum.sql)
			batch = run_statement(vacuum);
		if (batch == Batch::committed)
			batch = context->run_batch([&] { finish_step(context->job_id, context->step_no); }, {});
	}
	context->done = batch == Batch::committed;
}

} // namespace safe_migrate::operations
