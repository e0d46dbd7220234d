// drop_table_safely().
#include "operations/ddl/restrict.hpp"
#include "operations/ddl/sql.hpp"
#include "operations/ddl/target.hpp"
#include "operations/drop/steps.hpp"
#include "operations/partition/steps.hpp"
#include "pg/boundary.hpp"
#include "pg/compat_analysis.hpp"
#include "statement/relations.hpp"

extern "C" {
#include "access/table.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
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

} // namespace

void add_table_steps(ddl::Recipe *recipe, Relation relation)
{
	Oid oid = RelationGetRelid(relation);
	ObjectAddress object = {RelationRelationId, oid, 0};
	ddl::refuse_dependents(object);
	ddl::note_dependents(object);
	bool detached = add_detaching(recipe, oid);
	add_foreign_key_steps(recipe, oid, nullptr, detached);
	ddl::RecipeStep *step =
		ddl::add_step(recipe, "statement", psprintf("DROP TABLE %s", quoted_name(oid)));
	step->description = ddl::with_dependents(step->sql, object);
	add_locks(step, oid, detached);
	step->done = psprintf("SELECT NOT EXISTS (SELECT FROM pg_class WHERE oid = %u)", oid);
	ddl::expect_relation(step, oid);
	step->effect = statement::Effect::data_loss;
	step->bytes = statement::heap_bytes(oid);
}

namespace {

jobs::JobId drop_table(Oid oid, const ddl::Options &options)
{
	Relation relation = ddl::open_owned_table(oid);
	char *sql = psprintf("DROP TABLE %s", quoted_name(oid));
	ddl::Recipe recipe = ddl::new_recipe("drop_table", oid, sql);
	jobs::JobId id = ddl::find_earlier(recipe, options);
	if (id == 0) {
		recipe.judged = sql;
		add_table_steps(&recipe, relation);
		recipe.plain = list_make1(sql);
	}
	table_close(relation, NoLock);
	return id == 0 ? ddl::carry_out(recipe, options) : id;
}

} // namespace

} // namespace safe_migrate::operations::drop

SAFE_MIGRATE_FUNCTION(safe_migrate_drop_table_safely)
{
	using namespace safe_migrate::operations;
	ddl::begin_call("drop_table_safely()");
	if (PG_ARGISNULL(0))
		ddl::argument_is_null("relation");
	PG_RETURN_INT64(drop::drop_table(PG_GETARG_OID(0), ddl::read_options(fcinfo, 1)));
}
