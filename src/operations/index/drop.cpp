// drop_index_safely(): concurrently; an index of a partitioned table by a DROP whose locks are
// taken in short tries.
#include "operations/ddl/again.hpp"
#include "operations/ddl/restrict.hpp"
#include "operations/ddl/sql.hpp"
#include "operations/ddl/target.hpp"
#include "operations/index/steps.hpp"
#include "pg/boundary.hpp"
#include "statement/relations.hpp"

extern "C" {
#include "access/relation.h"
#include "catalog/dependency.h"
#include "catalog/index.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
}

namespace safe_migrate::operations::index {

using ddl::literal;
using ddl::quoted_name;
using statement::Lock;

namespace {

void refuse_constraint(Oid index)
{
	Oid constraint = get_index_constraint(index);
	if (!OidIsValid(constraint))
		return;
	Oid table = IndexGetRelation(index, false);
	const char *name = get_constraint_name(constraint);
	ereport(ERROR, (errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
					errmsg("cannot drop index \"%s\" because constraint \"%s\" on table \"%s\" "
						   "requires it",
						   get_rel_name(index), name, get_rel_name(table)),
					errhint("SELECT safe_migrate.drop_constraint_safely(%s, %s);",
							literal(quoted_name(table)), literal(name))));
}

void refuse_attached(Oid index)
{
	if (!get_rel_relispartition(index))
		return;
	Oid parent = get_partition_parent(index, true);
	ereport(ERROR,
			(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
			 errmsg("cannot drop index \"%s\" because index \"%s\" requires it",
					get_rel_name(index), get_rel_name(parent)),
			 errhint("SELECT safe_migrate.drop_index_safely(%s); drops it with all its partitions.",
					 literal(quoted_name(parent)))));
}

void note_replica_identity(Relation index)
{
	if (index->rd_index->indisreplident)
		ereport(NOTICE,
				(errmsg("index \"%s\" is the replica identity of \"%s\"",
						RelationGetRelationName(index), get_rel_name(index->rd_index->indrelid)),
				 errdetail("Without it UPDATE and DELETE fail where the table is "
						   "published.")));
}

} // namespace

void add_drop_steps(ddl::Recipe *recipe, Oid index)
{
	relation_close(ddl::open_owned_index(index), NoLock);
	refuse_constraint(index);
	refuse_attached(index);
	ddl::refuse_dependents({RelationRelationId, index, 0});
	Oid table = IndexGetRelation(index, false);
	bool partitioned = get_rel_relkind(index) == RELKIND_PARTITIONED_INDEX;
	ddl::RecipeStep *step =
		partitioned
			? ddl::add_step(recipe, "statement", psprintf("DROP INDEX %s", quoted_name(index)))
			: ddl::add_step(recipe, "top level",
							psprintf("DROP INDEX CONCURRENTLY %s", quoted_name(index)));
	ddl::add_lock(step, table, partitioned ? Lock::access_exclusive : Lock::share_update_exclusive);
	step->descend = partitioned;
	ddl::expect_relation(step, index);
	step->done = psprintf("SELECT NOT EXISTS (SELECT FROM pg_class WHERE oid = %u)", index);
	step->undo = ddl::index_again(index);
	if (!partitioned)
		step->left =
			psprintf("Where the index is left invalid (no longer used, but kept up to date): "
					 "safe_migrate.retry() drops it, safe_migrate.reindex_safely(%s) "
					 "makes it valid again.",
					 literal(quoted_name(index)));
}

namespace {

jobs::JobId drop_index(Oid oid, const Options &options)
{
	Relation index = ddl::open_owned_index(oid);
	Oid table = index->rd_index->indrelid;
	ddl::Recipe recipe =
		ddl::new_recipe("drop_index", table, psprintf("DROP INDEX %s", quoted_name(oid)));
	jobs::JobId id = ddl::find_earlier(recipe, options);
	if (id == 0) {
		add_drop_steps(&recipe, oid);
		note_replica_identity(index);
		if (index->rd_rel->relkind == RELKIND_PARTITIONED_INDEX)
			ereport(NOTICE,
					(errmsg("index \"%s\" of a partitioned table can't be dropped concurrently",
							RelationGetRelationName(index)),
					 errdetail("%s and all its partitions are locked for a moment, in short tries.",
							   quoted_name(table))));
		recipe.plain = list_make1(psprintf("DROP INDEX %s", quoted_name(oid)));
	}
	relation_close(index, NoLock);
	return id == 0 ? ddl::carry_out(recipe, options) : id;
}

} // namespace

} // namespace safe_migrate::operations::index

SAFE_MIGRATE_OPERATION(safe_migrate_drop_index_safely)
{
	using namespace safe_migrate::operations;
	begin_call(fcinfo, "drop_index_safely()", {"index"});
	PG_RETURN_INT64(index::drop_index(PG_GETARG_OID(0), read_options(fcinfo, 1)));
}
