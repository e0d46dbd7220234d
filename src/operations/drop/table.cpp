// drop_table_safely().
#include "operations/ddl/restrict.hpp"
#include "operations/ddl/sql.hpp"
#include "operations/drop/steps.hpp"
#include "operations/partition/steps.hpp"
#include "pg/boundary.hpp"
#include "pg/compat_analysis.hpp"
#include "pg/session_relations.hpp"
#include "statement/relations.hpp"

extern "C" {
#include "access/table.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "lib/stringinfo.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
}

namespace safe_migrate::operations::drop {

using ddl::quoted_name;
using statement::Lock;

namespace {

// A partition's parent is locked with it, and its default partition (heap_drop_with_catalog()):
// where the current user may, it is detached first.  True where it will be.
bool add_detaching(ddl::Recipe *recipe, Oid table)
{
	Oid parent = get_rel_relispartition(table) ? get_partition_parent(table, true) : InvalidOid;
	if (!OidIsValid(parent) || !pg::owns_relation(parent, GetUserId()))
		return false;
	partition::add_detach_steps(recipe, parent, table);
	return true;
}

void add_locks(ddl::RecipeStep *step, Oid table, bool detached)
{
	if (get_rel_relispartition(table) && !detached) {
		Oid parent = get_partition_parent(table, true);
		ddl::add_lock(step, parent, Lock::access_exclusive);
		Oid other = get_default_partition_oid(parent);
		if (OidIsValid(other) && other != table)
			ddl::add_lock(step, other, Lock::access_exclusive);
	}
	ListCell *cell;
	foreach (cell, statement::with_descendants(table))
		ddl::add_lock(step, lfirst_oid(cell), Lock::access_exclusive);
}

// Descendants whose rows the guard is asked about now, or which nobody else uses.
char *judged_now(Oid table)
{
	StringInfoData list;
	initStringInfo(&list);
	ListCell *cell;
	foreach (cell, statement::leaves(table)) {
		Oid leaf = lfirst_oid(cell);
		if (statement::own_heap_bytes(leaf) != 0 || pg::is_session_relation(leaf))
			appendStringInfo(&list, "%s%u", list.len > 0 ? "," : "", leaf);
	}
	return list.data;
}

} // namespace

void note_rows(ddl::RecipeStep *step, Oid table)
{
	step->unjudged =
		psprintf("WITH RECURSIVE tree(leaf) AS (SELECT %u::oid UNION SELECT inhrelid FROM "
				 "pg_inherits JOIN tree ON inhparent = leaf) SELECT EXISTS (SELECT FROM tree "
				 "JOIN pg_class ON oid = leaf WHERE relkind = 'r' AND leaf <> ALL ('{%s}'::oid[]) "
				 "AND pg_relation_size(leaf) > 0)",
				 table, judged_now(table));
}

void add_table_steps(ddl::Recipe *recipe, Relation relation)
{
	Oid oid = RelationGetRelid(relation);
	ObjectAddress object = {RelationRelationId, oid, 0};
	ddl::refuse_dependents(object);
	ddl::note_dependents(object);
	int first = list_length(recipe->steps);
	bool detached = add_detaching(recipe, oid);
	add_foreign_key_steps(recipe, oid, nullptr, detached);
	ddl::RecipeStep *step =
		ddl::add_step(recipe, "statement", psprintf("DROP TABLE %s", quoted_name(oid)));
	step->description = ddl::with_dependents(step->sql, object);
	add_locks(step, oid, detached);
	step->done = psprintf("SELECT NOT EXISTS (SELECT FROM pg_class WHERE oid = %u)", oid);
	ddl::expect_relation(step, oid);
	note_rows(step, oid);
	ddl::end_undo(recipe, first);
	step->effect = statement::Effect::data_loss;
	step->bytes = statement::heap_bytes(oid);
}

namespace {

jobs::JobId drop_table(Oid oid, const Options &options)
{
	char *sql = psprintf("DROP TABLE %s", quoted_name(oid));
	auto plan = [&](ddl::Recipe *recipe, Relation relation) {
		recipe->judged = sql;
		add_table_steps(recipe, relation);
		recipe->plain = list_make1(sql);
	};
	return ddl::carry_out_on_table("drop_table", oid, sql, options, plan);
}

} // namespace

} // namespace safe_migrate::operations::drop

SAFE_MIGRATE_OPERATION(safe_migrate_drop_table_safely)
{
	using namespace safe_migrate::operations;
	begin_call(fcinfo, "drop_table_safely()", {"relation"});
	PG_RETURN_INT64(drop::drop_table(PG_GETARG_OID(0), read_options(fcinfo, 1)));
}
