// From a recipe to a stored job, or to work done at once: see recipe.hpp.
#include "operations/ddl/recipe.hpp"

#include "jobs/store.hpp"
#include "operations/ddl/permission.hpp"
#include "operations/ddl/rehearsal.hpp"
#include "operations/ddl/sql.hpp"
#include "operations/ddl/step.hpp"
#include "operations/ddl/target.hpp"
#include "pg/compat_analysis.hpp"
#include "pg/json.hpp"
#include "pg/session_relations.hpp"
#include "settings.hpp"
#include "statement/relations.hpp"

extern "C" {
#include "access/table.h"
#include "catalog/pg_class.h"
#include "portability/instr_time.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
}

namespace safe_migrate::operations::ddl {

namespace {

char *job_definition(const Recipe &recipe)
{
	StringInfoData json;
	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	pg::json_text(&json, "call", recipe.definition_text);
	pg::json_text(&json, "search_path", recipe.search_path);
	appendStringInfoChar(&json, '}');
	return json.data;
}

jobs::NewJob new_job(const Recipe &recipe, const Options &options)
{
	jobs::NewJob job = {};
	job.name = options.job_name;
	job.kind = recipe.kind;
	job.relation = recipe.relation;
	job.relation_name = recipe.relation_name;
	job.definition = job_definition(recipe);
	job.definition_text = recipe.definition_text;
	job.settings = options.settings;
	job.workers = 1;
	return job;
}

jobs::NewStep new_step(const RecipeStep &step)
{
	return {step.kind, step.definition ? step.definition : step_definition(step),
			step.description ? step.description : step.sql};
}

jobs::JobId work_inline(jobs::NewJob *job, const Recipe &recipe)
{
	instr_time start, elapsed;
	INSTR_TIME_SET_CURRENT(start);
	int n = 0;
	auto *done =
		static_cast<jobs::NewStep *>(palloc0_array(jobs::NewStep, list_length(recipe.plain)));
	ListCell *cell;
	foreach (cell, recipe.plain) {
		const char *sql = static_cast<const char *>(lfirst(cell));
		run_sql(sql);
		done[n++] = {"statement", "{}", sql};
	}
	INSTR_TIME_SET_CURRENT(elapsed);
	INSTR_TIME_SUBTRACT(elapsed, start);
	job->steps = done;
	job->n_steps = n;
	return jobs::record_inline_job(*job, 0, static_cast<int64>(INSTR_TIME_GET_MICROSEC(elapsed)));
}

} // namespace

Recipe new_recipe(const char *kind, Oid relation, const char *text)
{
	Recipe recipe = {};
	recipe.kind = kind;
	recipe.relation = relation;
	recipe.relation_name = quoted_name(relation);
	recipe.definition_text = text;
	recipe.relations = statement::leaves(relation);
	return recipe;
}

RecipeStep *add_step(Recipe *recipe, const char *kind, const char *sql)
{
	auto *step = static_cast<RecipeStep *>(palloc0(sizeof(RecipeStep)));
	step->kind = kind;
	step->sql = sql;
	recipe->steps = lappend(recipe->steps, step);
	return step;
}

void add_lock(RecipeStep *step, Oid relation, statement::Lock mode)
{
	Size size = sizeof(StepLock) * static_cast<Size>(step->n_locks + 1);
	step->locks = static_cast<StepLock *>(step->locks ? repalloc(step->locks, size) : palloc(size));
	step->locks[step->n_locks++] = {relation, mode};
}

void end_undo(Recipe *recipe, int first)
{
	int last = list_length(recipe->steps) - 1;
	static_cast<RecipeStep *>(list_nth(recipe->steps, last))->undo = nullptr;
	for (int i = first; i < last; i++) {
		auto *step = static_cast<RecipeStep *>(list_nth(recipe->steps, i));
		if (step->undo_until == 0)
			step->undo_until = last - i;
	}
}

void end_where(Recipe *recipe, int first, const char *query)
{
	ListCell *cell;
	for_each_from(cell, recipe->steps, first)
	{
		auto *step = static_cast<RecipeStep *>(lfirst(cell));
		if (step->done)
			step->done = psprintf("SELECT (%s) OR (%s)", step->done, query);
	}
}

void expect_relation(RecipeStep *step, Oid relation)
{
	const char *name = quoted_name(relation);
	const char *still = psprintf("SELECT to_regclass(%s) = %u::oid", literal(name), relation);
	step->still_what = step->still ? psprintf("%s or %s", step->still_what, name) : name;
	step->still = step->still ? psprintf("SELECT (%s) AND (%s)", step->still, still) : still;
}

void need_owner(Recipe *recipe, Oid relation)
{
	recipe->owned = list_append_unique_oid(recipe->owned, relation);
}

void need_owners(Recipe *recipe, Oid root)
{
	recipe->owned = list_concat_unique_oid(recipe->owned, statement::with_descendants(root));
}

bool is_own(Oid relation) { return pg::owns_relation(relation, GetUserId()); }

bool is_done_inline(const Recipe &recipe)
{
	if (settings::inline_mode == INLINE_NEVER || (recipe.plain == NIL && recipe.steps != NIL))
		return false;
	if (settings::inline_mode == INLINE_ALWAYS)
		return true;
	int64 bytes = 0;
	ListCell *cell;
	foreach (cell, recipe.relations) {
		int64 heap =
			pg::is_session_relation(lfirst_oid(cell)) ? 0 : statement::heap_bytes(lfirst_oid(cell));
		if (heap < 0)
			return false;
		bytes += heap;
	}
	return bytes <= static_cast<int64>(settings::small_table_size) * 1024;
}

jobs::JobId find_earlier(const Recipe &recipe, const Options &options)
{
	return jobs::take_up_job(new_job(recipe, options));
}

jobs::NewStep *stored_steps(const Recipe &recipe, int *n)
{
	auto *steps =
		static_cast<jobs::NewStep *>(palloc0_array(jobs::NewStep, list_length(recipe.steps) + 1));
	*n = 0;
	ListCell *cell;
	foreach (cell, recipe.steps)
		steps[(*n)++] = new_step(*static_cast<const RecipeStep *>(lfirst(cell)));
	return steps;
}

namespace {

void refuse_temporary(const Recipe &recipe)
{
	ListCell *cell;
	foreach (cell, recipe.relations)
		if (get_rel_persistence(lfirst_oid(cell)) == RELPERSISTENCE_TEMP)
			ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
							errmsg("a job cannot change temporary table \"%s\"",
								   get_rel_name(lfirst_oid(cell))),
							errhint("Only the session that created it can change it: use a plain "
									"statement there.")));
	if (recipe.temporary)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a job cannot make temporary relation \"%s\"", recipe.temporary),
				 errhint("It would end with the job's own session: use a plain statement.")));
}

const char *kind_text(char relkind)
{
	switch (relkind) {
		case RELKIND_INDEX:
		case RELKIND_PARTITIONED_INDEX:
			return "index";
		case RELKIND_FOREIGN_TABLE:
			return "foreign table";
		default:
			return "table";
	}
}

} // namespace

// In the server's words.
void check_owners(const Recipe &recipe)
{
	ListCell *cell;
	foreach (cell, recipe.owned)
		if (!is_own(lfirst_oid(cell)))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("must be owner of %s %s", kind_text(get_rel_relkind(lfirst_oid(cell))),
							get_rel_name(lfirst_oid(cell))),
					 errhint("A job changes each partition and child as the role that it "
							 "is of: one that is a member of all their owners can queue "
							 "it.")));
}

jobs::JobId carry_out(const Recipe &recipe, const Options &options)
{
	jobs::NewJob job = new_job(recipe, options);
	if (is_done_inline(recipe) || recipe.steps == NIL)
		return work_inline(&job, recipe);
	refuse_temporary(recipe);
	check_owners(recipe);
	job.steps = stored_steps(recipe, &job.n_steps);
	bool existed;
	jobs::JobId id = jobs::queue_job(job, &existed);
	const char *reason = recipe.judged && !existed ? ask_permission(recipe.judged) : nullptr;
	if (reason)
		jobs::add_event(id, "override", GetUserId(), reason);
	if (!existed)
		rehearse(recipe);
	return id;
}

jobs::JobId carry_out_on_table(const char *kind, Oid table, const char *text,
							   const Options &options,
							   void (*plan)(void *arg, Recipe *recipe, Relation relation),
							   void *arg)
{
	Relation relation = open_owned_table(table);
	Recipe recipe = new_recipe(kind, table, text);
	jobs::JobId id = find_earlier(recipe, options);
	if (id == 0)
		plan(arg, &recipe, relation);
	table_close(relation, NoLock); // the plain statements must not find it in use
	return id != 0 ? id : carry_out(recipe, options);
}

} // namespace safe_migrate::operations::ddl
