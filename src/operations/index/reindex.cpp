// reindex_safely(): index by index, concurrently.  The server builds a new index beside the old one
// (…_ccnew), swaps their names (the old one is …_ccold then) and drops the old one; where it is
// interrupted, one of them is left, invalid.  So the index has been rebuilt once its name belongs
// to another oid than when the job was queued, and the step is done once nothing is left.
#include "operations/ddl/sql.hpp"
#include "operations/ddl/step_run.hpp"
#include "operations/ddl/target.hpp"
#include "operations/index/steps.hpp"
#include "pg/boundary.hpp"
#include "pg/compat_analysis.hpp"
#include "pg/compat_locks.hpp"
#include "statement/relations.hpp"

extern "C" {
#include "access/relation.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/index.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "lib/stringinfo.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
}

namespace safe_migrate::operations::index {

using ddl::Found;
using ddl::literal;
using ddl::quoted_name;
using ddl::StepRun;
using statement::Lock;

namespace {

// ---------------------------------------------------------------- running

// Of one index, or (nullptr) of any of the table.  Names as ChooseRelationName() makes them: cut
// where they would be too long.
char *leftovers_query(Oid table, const char *index_name)
{
	return psprintf(
		"SELECT quote_ident(nspname) || '.' || quote_ident(c.relname) FROM pg_index i JOIN "
		"pg_class c ON c.oid = indexrelid JOIN pg_namespace n ON n.oid = relnamespace, "
		"regexp_replace(c.relname, '_cc(new|old)[0-9]*$', '') base WHERE indrelid = %u AND NOT "
		"indisvalid AND base <> c.relname AND EXISTS (SELECT FROM pg_index o JOIN pg_class oc ON "
		"oc.oid = o.indexrelid WHERE o.indrelid = i.indrelid AND (base = oc.relname OR "
		"starts_with(oc.relname, base) AND octet_length(c.relname) > %d)%s) ORDER BY 1 LIMIT 1",
		table, NAMEDATALEN - 5,
		index_name ? psprintf(" AND oc.relname = %s", literal(index_name)) : "");
}

// What there is to do next is what the step runs: leftovers go first.
Found look(StepRun *run)
{
	ddl::RecipeStep *step = run->step;
	if (!step->undo)
		step->undo = step->sql; // the rebuilding
	MemoryContext old = MemoryContextSwitchTo(run->context->memory);
	char *leftover = ddl::values_of(step->sample_query);
	Found found = Found::nothing;
	if (leftover) {
		step->cleanup = psprintf("DROP INDEX CONCURRENTLY IF EXISTS %s", leftover);
		if (run->cleaning)
			found = Found::wreck;
		else
			step->sql = step->cleanup;
	} else if (ddl::holds(step->done))
		found = Found::done;
	else {
		ddl::check_target(*step);
		step->sql = step->undo;
	}
	MemoryContextSwitchTo(old);
	return found;
}

} // namespace

void run_reindex_step(jobs::StepContext *context)
{
	ddl::run_step(context, "rebuilding an index", look, ddl::run_at_top_level);
}

// ---------------------------------------------------------------- queueing

namespace {

void describe_step(ddl::RecipeStep *step, Oid table)
{
	step->left = "Where an invalid index whose name ends with _ccnew or _ccold is left, "
				 "safe_migrate.retry() drops it.";
	step->effect = statement::Effect::index_build;
	step->bytes = statement::heap_bytes(table);
}

const char *in_tablespace(const char *tablespace)
{
	return tablespace ? psprintf("(TABLESPACE %s) ", quote_identifier(tablespace)) : "";
}

// Ownership, or MAINTAIN on the table (from 17 on).
void need_rights(ddl::Recipe *recipe, Oid relation, Oid table)
{
	if (!pg::has_maintain_privilege(table, GetUserId()))
		ddl::need_owner(recipe, relation);
}

// One index, of a table with storage.
void add_reindex_step(ddl::Recipe *recipe, Oid index, const char *tablespace)
{
	Oid table = IndexGetRelation(index, false);
	char *name = quoted_name(index);
	need_rights(recipe, index, table);
	ddl::RecipeStep *step =
		ddl::add_step(recipe, "reindex",
					  psprintf("REINDEX %sINDEX CONCURRENTLY %s", in_tablespace(tablespace), name));
	ddl::add_lock(step, table, Lock::share_update_exclusive);
	step->done = psprintf("SELECT EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass(%s) "
						  "AND indexrelid <> %u AND indisvalid) AND NOT EXISTS (SELECT FROM "
						  "pg_class WHERE oid = %u)",
						  literal(name), index, index);
	ddl::expect_relation(step, index);
	step->sample_query = leftovers_query(table, get_rel_name(index));
	describe_step(step, table);
}

// The server has no concurrent way for these (ReindexRelationConcurrently()).
bool is_exclusion(Oid oid)
{
	Relation index = relation_open(oid, AccessShareLock);
	bool exclusion = index->rd_index->indisexclusion;
	relation_close(index, NoLock);
	return exclusion;
}

void refuse_exclusion(Oid index)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("the index of exclusion constraint \"%s\" can't be rebuilt concurrently",
					get_rel_name(index)),
			 errhint("REINDEX INDEX %s; stops writes to its table, and reads, until it is built: "
					 "in a maintenance window.",
					 quoted_name(index))));
}

bool is_leftover(const char *name)
{
	size_t end = strlen(name);
	while (end > 0 && name[end - 1] >= '0' && name[end - 1] <= '9')
		end--;
	return end > 6 &&
		   (strncmp(name + end - 6, "_ccnew", 6) == 0 || strncmp(name + end - 6, "_ccold", 6) == 0);
}

// Leftovers of other tries go with the index that they are of.
bool is_to_be_rebuilt(Oid index)
{
	if (is_exclusion(index)) {
		ereport(
			NOTICE,
			(errmsg("the index of exclusion constraint \"%s\" is left out", get_rel_name(index)),
			 errdetail("It can't be rebuilt concurrently."),
			 errhint("REINDEX INDEX %s; in a maintenance window.", quoted_name(index))));
		return false;
	}
	return is_valid_index(index) || !is_leftover(get_rel_name(index));
}

// Only who may look into pg_toast can name the index of a TOAST table.
bool may_name_toast() { return pg::may_use_schema(PG_TOAST_NAMESPACE, GetUserId()); }

// Everything that is valid in one statement, the index of the TOAST table with it: done once none
// of them is there any more.
void add_whole_step(ddl::Recipe *recipe, Relation table, List *indexes, const char *tablespace)
{
	StringInfoData oids;
	initStringInfo(&oids);
	ListCell *cell;
	foreach (cell, indexes)
		appendStringInfo(&oids, "%s%u", oids.len > 0 ? "," : "", lfirst_oid(cell));
	Oid oid = RelationGetRelid(table);
	need_rights(recipe, oid, oid);
	ddl::RecipeStep *step = ddl::add_step(
		recipe, "reindex",
		psprintf("REINDEX %sTABLE CONCURRENTLY %s", in_tablespace(tablespace), quoted_name(oid)));
	ddl::add_lock(step, oid, Lock::share_update_exclusive);
	step->done = psprintf("SELECT NOT EXISTS (SELECT FROM pg_index WHERE indexrelid IN (%s) AND "
						  "indisvalid)",
						  oids.data);
	step->sample_query = leftovers_query(oid, nullptr);
	describe_step(step, oid);
}

// Of a TOAST table; an empty one's is not worth it.
List *toast_indexes(Oid oid)
{
	if (!OidIsValid(oid))
		return NIL;
	Relation relation = relation_open(oid, AccessShareLock);
	List *valid = NIL;
	ListCell *cell;
	bool empty = RelationGetNumberOfBlocks(relation) == 0;
	foreach (cell, RelationGetIndexList(relation))
		if (!empty && is_valid_index(lfirst_oid(cell)))
			valid = lappend_oid(valid, lfirst_oid(cell));
	relation_close(relation, NoLock);
	return valid;
}

// With those of its TOAST table; invalid ones of TOAST can't be rebuilt concurrently, and are none
// that anybody made.
void add_table_steps(ddl::Recipe *recipe, Oid oid, const char *tablespace)
{
	Relation table = relation_open(oid, AccessShareLock);
	List *toast = toast_indexes(table->rd_rel->reltoastrelid);
	bool as_whole = toast != NIL && !may_name_toast();
	List *whole = toast;
	ListCell *cell;
	foreach (cell, RelationGetIndexList(table)) {
		Oid index = lfirst_oid(cell);
		if (!is_to_be_rebuilt(index))
			continue;
		if (as_whole && is_valid_index(index))
			whole = lappend_oid(whole, index);
		else
			add_reindex_step(recipe, index, tablespace);
	}
	if (as_whole)
		add_whole_step(recipe, table, whole, tablespace);
	else {
		foreach (cell, toast)
			add_reindex_step(recipe, lfirst_oid(cell), tablespace);
	}
	relation_close(table, NoLock);
	recipe->plain = lappend(recipe->plain, psprintf("REINDEX TABLE %s", quoted_name(oid)));
}

void add_index_steps(ddl::Recipe *recipe, Oid oid, const char *tablespace)
{
	ListCell *cell;
	foreach (cell, find_all_inheritors(oid, NoLock, nullptr)) {
		Oid index = lfirst_oid(cell);
		if (get_rel_relkind(index) != RELKIND_INDEX)
			continue;
		if (is_exclusion(index))
			refuse_exclusion(index);
		add_reindex_step(recipe, index, tablespace);
		recipe->plain = lappend(recipe->plain, psprintf("REINDEX INDEX %s", quoted_name(index)));
	}
}

bool is_index(Oid oid)
{
	char kind = get_rel_relkind(oid);
	return kind == RELKIND_INDEX || kind == RELKIND_PARTITIONED_INDEX;
}

// Table, partitioned table, materialized view or index, of the current user's.
void check_relation(Oid oid)
{
	if (is_index(oid)) {
		relation_close(ddl::open_owned_index(oid), NoLock);
		return;
	}
	if (get_rel_relkind(oid) != RELKIND_MATVIEW) {
		table_close(ddl::open_owned_table(oid), NoLock);
		return;
	}
	Relation view = relation_open(oid, AccessShareLock);
	ddl::check_owner(view);
	relation_close(view, NoLock);
}

} // namespace

void add_reindex_steps(ddl::Recipe *recipe, Oid oid, const char *tablespace)
{
	check_relation(oid);
	int before = list_length(recipe->steps);
	if (is_index(oid))
		add_index_steps(recipe, oid, tablespace);
	else if (get_rel_relkind(oid) != RELKIND_PARTITIONED_TABLE)
		add_table_steps(recipe, oid, tablespace);
	else {
		ListCell *cell;
		foreach (cell, statement::leaves(oid))
			add_table_steps(recipe, lfirst_oid(cell), tablespace);
	}
	if (list_length(recipe->steps) == before)
		ereport(NOTICE, (errmsg("\"%s\" has no indexes to rebuild", get_rel_name(oid))));
}

namespace {

jobs::JobId reindex(Oid oid, const Options &options)
{
	check_relation(oid);
	Oid table = is_index(oid) ? IndexGetRelation(oid, false) : oid;
	ddl::Recipe recipe = ddl::new_recipe(
		"reindex", table,
		psprintf("REINDEX %s %s", is_index(oid) ? "INDEX" : "TABLE", quoted_name(oid)));
	jobs::JobId id = ddl::find_earlier(recipe, options);
	if (id != 0)
		return id;
	add_reindex_steps(&recipe, oid, nullptr);
	if (recipe.steps == NIL)
		recipe.plain = NIL;
	return ddl::carry_out(recipe, options);
}

} // namespace

} // namespace safe_migrate::operations::index

SAFE_MIGRATE_OPERATION(safe_migrate_reindex_safely)
{
	using namespace safe_migrate::operations;
	begin_call(fcinfo, "reindex_safely()", {"relation"});
	PG_RETURN_INT64(index::reindex(PG_GETARG_OID(0), read_options(fcinfo, 1)));
}
