// A step as jsonb, and what its runners share: see step.hpp.
#include "operations/ddl/step.hpp"

#include "jobs/lock_wait.hpp"
#include "jobs/store.hpp"
#include "jobs/worker.hpp"
#include "operations/ddl/permission.hpp"
#include "operations/ddl/sql.hpp"
#include "operations/ddl/statement_locks.hpp"
#include "operations/ddl/step_run.hpp"
#include "pg/guc.hpp"
#include "pg/json.hpp"
#include "pg/lock_table.hpp"
#include "pg/own_statement.hpp"
#include "pg/pinned_settings.hpp"

extern "C" {
#include "catalog/pg_inherits.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
}

namespace safe_migrate::operations::ddl {

using namespace jobs;

char *step_definition(const RecipeStep &step)
{
	StringInfoData json;
	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	pg::json_text(&json, "sql", step.sql);
	pg::json_text(&json, "done", step.done);
	pg::json_bool(&json, "caller_path", step.caller_path);
	pg::json_bool(&json, "as_written", step.as_written);
	pg::json_text(&json, "like", step.like);
	pg::json_bool(&json, "descend", step.descend);
	pg::json_bool(&json, "reads_only", step.reads_only);
	pg::json_text(&json, "count", step.count_query);
	pg::json_text(&json, "sample", step.sample_query);
	pg::json_text(&json, "violation", step.violation);
	pg::json_text(&json, "cleanup", step.cleanup);
	pg::json_text(&json, "cleanup_when", step.cleanup_when);
	pg::json_text(&json, "still", step.still);
	pg::json_text(&json, "still_what", step.still_what);
	pg::json_text(&json, "unjudged", step.unjudged);
	pg::json_text(&json, "names", step.names);
	pg::json_text(&json, "undo", step.undo);
	pg::json_number(&json, "undo_until", step.undo_until);
	pg::json_number(&json, "redo", step.redo);
	pg::json_text(&json, "left", step.left);
	pg::json_key(&json, "locks");
	appendStringInfoChar(&json, '[');
	for (int i = 0; i < step.n_locks; i++) {
		pg::json_comma(&json);
		appendStringInfo(&json, "[%u,%d]", step.locks[i].relation,
						 static_cast<int>(step.locks[i].mode));
	}
	appendStringInfoString(&json, "]}");
	return json.data;
}

RecipeStep *read_step(const char *definition)
{
	JsonbContainer *object = pg::json_parse(definition);
	auto *step = static_cast<RecipeStep *>(palloc0(sizeof(RecipeStep)));
	step->sql = pg::json_get_text(object, "sql");
	step->done = pg::json_get_text(object, "done");
	step->caller_path = pg::json_get_bool(object, "caller_path", false);
	step->as_written = pg::json_get_bool(object, "as_written", false);
	step->like = pg::json_get_text(object, "like");
	step->descend = pg::json_get_bool(object, "descend", false);
	step->reads_only = pg::json_get_bool(object, "reads_only", false);
	step->count_query = pg::json_get_text(object, "count");
	step->sample_query = pg::json_get_text(object, "sample");
	step->violation = pg::json_get_text(object, "violation");
	step->cleanup = pg::json_get_text(object, "cleanup");
	step->cleanup_when = pg::json_get_text(object, "cleanup_when");
	step->still = pg::json_get_text(object, "still");
	step->undo = pg::json_get_text(object, "undo");
	step->still_what = pg::json_get_text(object, "still_what");
	step->unjudged = pg::json_get_text(object, "unjudged");
	step->names = pg::json_get_text(object, "names");
	step->redo = static_cast<int>(pg::json_get_number(object, "redo", 0));
	step->left = pg::json_get_text(object, "left");
	step->begun = pg::json_get_bool(object, "begun", false);
	JsonbContainer *locks = pg::json_get_container(object, "locks");
	for (int i = 0; i < pg::json_size(locks); i++) {
		JsonbContainer *lock = pg::json_element_container(locks, i);
		add_lock(step, static_cast<Oid>(pg::json_element_number(lock, 0, InvalidOid)),
				 static_cast<statement::Lock>(pg::json_element_number(lock, 1, 0)));
	}
	return step;
}

// ---------------------------------------------------------------- running

namespace {

StepRun begin_run(StepContext *context, Look look)
{
	StepRun run = {};
	run.context = context;
	run.look = look;
	run.step = read_step(context->definition);
	context->leaves =
		static_cast<Oid *>(palloc0(sizeof(Oid) * static_cast<Size>(run.step->n_locks + 1)));
	context->n_leaves = run.step->n_locks;
	for (int i = 0; i < run.step->n_locks; i++) {
		context->leaves[i] = run.step->locks[i].relation;
		run.strongest = Max(run.strongest, static_cast<int>(run.step->locks[i].mode));
	}
	return run;
}

// A look that changes nothing of the run, and whose memory goes with its transaction.
void look_once(void *work)
{
	StepRun run = *static_cast<StepRun *>(work);
	RecipeStep step = *run.step;
	StepContext context = *run.context;
	context.memory = CurrentMemoryContext;
	run.step = &step;
	run.context = &context;
	(void)run.look(&run);
}

} // namespace

void run_step(StepContext *context, const char *phase, Look look, void (*way)(StepRun *))
{
	if (context->worker_number != 0)
		return;
	MemoryContext old = MemoryContextSwitchTo(context->memory);
	StepRun run = begin_run(context, look);
	context->set_phase(phase);
	context->work = &run;
	context->check_work = look_once;
	way(&run);
	context->check_work = nullptr;
	MemoryContextSwitchTo(old);
}

namespace {

// Each lock that a step takes itself, in order.
template <class F> void for_each_lock(const RecipeStep &step, F &&f)
{
	for (int i = 0; i < step.n_locks; i++) {
		Oid relation = step.locks[i].relation;
		auto mode = static_cast<LOCKMODE>(step.locks[i].mode);
		f(relation, mode);
		if (!step.descend)
			continue;
		ListCell *cell;
		foreach (cell, find_all_inheritors(relation, NoLock, nullptr))
			if (lfirst_oid(cell) != relation)
				f(lfirst_oid(cell), mode);
	}
}

} // namespace

TimestampTz begin_stay(const StepRun &run)
{
	pg::Obstacles obstacles = {0, 0, -1};
	for_each_lock(*run.step, [&](Oid relation, LOCKMODE mode) {
		pg::add_obstacles(relation, mode, &obstacles);
	});
	return begin_stay_among(run.context, obstacles);
}

TimestampTz begin_stay_among(StepContext *context, const pg::Obstacles &obstacles)
{
	pg::NextMove stay = jobs::begin_stay(context, obstacles);
	if (stay.deadlock_timeout > 0 && stay.deadlock_timeout < DeadlockTimeout)
		pg::set_local_ms("deadlock_timeout", stay.deadlock_timeout, PGC_SUSET);
	return GetCurrentTimestamp() + static_cast<int64>(stay.ms) * 1000;
}

void stay_until(TimestampTz deadline)
{
	int64 left_ms = (deadline - GetCurrentTimestamp()) / 1000;
	pg::set_local_ms("lock_timeout", Max(left_ms, INT64CONST(1)));
}

void take_locks(StepRun *run)
{
	run->held_at = 0;
	TimestampTz deadline = begin_stay(*run);
	for_each_lock(*run->step, [&](Oid relation, LOCKMODE mode) {
		stay_until(deadline);
		LockRelationOid(relation, mode);
		int limit_ms = limit_hold(relation, mode);
		if (limit_ms > 0 && (run->hold_limit_ms == 0 || limit_ms < run->hold_limit_ms))
			run->hold_limit_ms = limit_ms;
	});
	run->held_at = GetCurrentTimestamp();
}

void check_target(const RecipeStep &step)
{
	if (!step.still || holds(step.still))
		return;
	ereport(
		ERROR,
		(errcode(ERRCODE_UNDEFINED_OBJECT),
		 errmsg("%s is no longer what it was when the job was queued", step.still_what),
		 errhint("It has been renamed, or dropped. Cancel the job, and queue it anew by the new "
				 "name.")));
}

void ask_again(const StepContext &context, const RecipeStep &step)
{
	if (step.unjudged && !was_overridden(context.job_id) && holds(step.unjudged))
		(void)ask_permission(step.sql);
}

void check_names(const char *names)
{
	const char *taken = names ? values_of(names) : nullptr;
	if (!taken)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_OBJECT),
			 errmsg("a name has been taken since the job was queued"),
			 errdetail("The server would have called a %s.", taken),
			 errhint("Free the name and call safe_migrate.retry(), or cancel the job and queue it "
					 "anew.")));
}

Found look_by_queries(StepRun *run)
{
	const RecipeStep &step = *run->step;
	if (step.done && holds(step.done))
		return Found::done;
	check_target(step);
	if (step.cleanup && (!step.cleanup_when || holds(step.cleanup_when)))
		return Found::wreck;
	return Found::nothing;
}

namespace {

bool is_violation(const ErrorData *error)
{
	return ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION;
}

char *joined(const char *first, const char *second)
{
	if (!first || !second)
		return pstrdup(first ? first : second);
	return psprintf("%s %s", first, second);
}

// How many rows are in the way, where that is asked, and some of them.
void add_samples(const StepRun &run, ErrorData *failure)
{
	MemoryContext memory = run.context->memory;
	char *count = nullptr;
	char *sample = nullptr;
	ErrorData *error = job_transaction([&] {
		PushActiveSnapshot(GetTransactionSnapshot());
		MemoryContext old = MemoryContextSwitchTo(memory);
		if (run.step->count_query)
			count = values_of(run.step->count_query);
		sample = values_of(run.step->sample_query);
		MemoryContextSwitchTo(old);
		PopActiveSnapshot();
	});
	if (error || !sample)
		return;
	failure->detail = count ? psprintf("Rows in the way: %s, for example %s.", count, sample)
							: psprintf("In the way: %s.", sample);
}

} // namespace

void explain_failure(const StepRun &run)
{
	StepContext *context = run.context;
	ErrorData *failure = context->failure;
	if (!failure)
		return;
	if (is_violation(failure) && run.step->sample_query)
		add_samples(run, failure);
	if (is_violation(failure) && run.step->violation)
		failure->message = pstrdup(run.step->violation);
	if (run.step->left)
		failure->hint = joined(run.step->left, failure->hint);
}

ErrorData *run_own_top_level(const char *sql)
{
	ErrorData *error = job_transaction([] {
		for (const pg::PinnedSetting &setting : pg::pinned_settings) // the text is a resolved one
			SetConfigOption(setting.name, setting.value, PGC_USERSET, PGC_S_SESSION);
		SetConfigOption("default_tablespace", "", PGC_USERSET, PGC_S_SESSION);
		SetConfigOption("lock_timeout", "0", PGC_USERSET, PGC_S_SESSION);
	});
	if (error)
		return error;
	pg::mark_own_statement();
	error = pg::run_toplevel(sql, worker.activity);
	(void)pg::take_own_statement_mark();
	return error;
}

namespace {

// Is there something to take away?
ErrorData *ask_whether_to_clean(StepRun *run, bool *needed)
{
	return job_transaction([&] {
		PushActiveSnapshot(GetTransactionSnapshot());
		*needed = run->look(run) == Found::wreck;
		PopActiveSnapshot();
	});
}

// In one short stay, and held no longer than others may wait behind them.
void take_locks_to_clean(const StepRun &run)
{
	RecipeStep cleaning = {};
	add_statement_locks(&cleaning, run.step->cleanup);
	TimestampTz deadline =
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(), run.context->settings.ddl_lock_try);
	for_each_lock(cleaning, [deadline](Oid relation, LOCKMODE mode) {
		stay_until(deadline);
		LockRelationOid(relation, mode);
		(void)limit_hold(relation, mode);
	});
}

ErrorData *clean_in_transaction(const StepRun &run)
{
	return job_transaction([&] {
		pg::set_local_ms("lock_timeout", run.context->settings.ddl_lock_try);
		PushActiveSnapshot(GetTransactionSnapshot());
		take_locks_to_clean(run);
		run_own_statement(run.step->cleanup, true);
		PopActiveSnapshot();
	});
}

} // namespace

ErrorData *clean_up(StepRun *run, bool top_level)
{
	StepContext *context = run->context;
	run->cleaned = false;
	for (int attempt = 0;; attempt++) {
		bool needed = false;
		ErrorData *error = ask_whether_to_clean(run, &needed);
		if (!error && !needed)
			return nullptr;
		if (!error)
			error = top_level ? run_own_top_level(run->step->cleanup) : clean_in_transaction(*run);
		run->cleaned = !error;
		if (!error)
			return nullptr;
		if (error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE || attempt >= 20)
			return error;
		context->wait_ms(500);
	}
}

bool clean_up_after_failure(StepRun *run, bool top_level)
{
	StepContext *context = run->context;
	run->cleaning = true;
	ErrorData *error = clean_up(run, top_level);
	if (!error && run->step->redo > 0)
		error = job_transaction(
			[&] { reopen_steps(context->job_id, context->step_no - run->step->redo); });
	if (!error && run->cleaned && run->step->begun)
		error = job_transaction([&] { mark_begun(context->job_id, context->step_no, false); });
	if (error && run->step->cleanup)
		context->note_event("notice", psprintf("could not be taken away: %s: %s",
											   run->step->cleanup, error->message));
	return !error && run->step->cleanup;
}

} // namespace safe_migrate::operations::ddl
