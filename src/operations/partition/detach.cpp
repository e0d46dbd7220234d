// detach_partition_safely().
#include "operations/ddl/sql.hpp"
#include "operations/ddl/statement_locks.hpp"
#include "operations/ddl/step_run.hpp"
#include "operations/partition/steps.hpp"
#include "pg/boundary.hpp"
#include "statement/relations.hpp"

extern "C" {
#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "commands/tablecmds.h"
#include "optimizer/optimizer.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
}

namespace safe_migrate::operations::partition {

using ddl::Found;
using ddl::quoted_name;
using ddl::StepRun;
using statement::Lock;

namespace {

char *detach_statement(Oid parent, Oid partition, const char *way)
{
	return psprintf("ALTER TABLE %s DETACH PARTITION %s%s", quoted_name(parent),
					quoted_name(partition), way);
}

// What an interrupted one has left decides what there is to do: to begin with, or to finish.
Found look(StepRun *run)
{
	const ddl::RecipeStep &step = *run->step;
	if (ddl::holds(step.done))
		return Found::done;
	Oid partition = step.locks[1].relation;
	bool pending = ddl::holds(
		psprintf("SELECT inhdetachpending FROM pg_inherits WHERE inhrelid = %u", partition));
	MemoryContext old = MemoryContextSwitchTo(run->context->memory);
	run->step->sql = detach_statement(step.locks[0].relation, partition,
									  pending ? " FINALIZE" : " CONCURRENTLY");
	MemoryContextSwitchTo(old);
	return Found::nothing;
}

bool is_pending(Oid partition)
{
	return ddl::holds(
		psprintf("SELECT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = %u AND inhdetachpending)",
				 partition));
}

// The CHECK of its bound that DETACH CONCURRENTLY leaves, as DetachAddConstraintIfNeeded() and
// AddRelationNewConstraints() have it: nullptr where one is there.
char *left_check(Oid oid)
{
	Relation partition = table_open(oid, AccessShareLock);
	List *bound = RelationGetPartitionQual(partition);
	bound =
		reinterpret_cast<List *>(eval_const_expressions(nullptr, reinterpret_cast<Node *>(bound)));
	char *name = nullptr;
	if (!PartConstraintImpliedByRelConstraint(partition, bound)) {
		Bitmapset *columns = nullptr;
		pull_varattnos(reinterpret_cast<Node *>(bound), 1, &columns);
		int member = -1;
		const char *column =
			bms_get_singleton_member(columns, &member)
				? get_attname(oid,
							  static_cast<AttrNumber>(member + FirstLowInvalidHeapAttributeNumber),
							  true)
				: nullptr;
		name = ChooseConstraintName(RelationGetRelationName(partition), column, "check",
									RelationGetNamespace(partition), NIL);
	}
	table_close(partition, NoLock);
	return name;
}

// Once it is attached again it needs no CHECK to prove its bound.
char *undo_of_detach(Oid parent, Oid partition, bool leaves_check)
{
	char *attach = attach_again(parent, partition);
	char *check = leaves_check ? left_check(partition) : nullptr;
	return check ? psprintf("%s;\nALTER TABLE %s DROP CONSTRAINT IF EXISTS %s", attach,
							quoted_name(partition), ddl::identifier(check))
				 : attach;
}

} // namespace

char *attach_again(Oid parent, Oid partition)
{
	return psprintf("CALL safe_migrate.wait(safe_migrate.attach_partition_safely(%s, %s, %s))",
					ddl::literal(quoted_name(parent)), ddl::literal(quoted_name(partition)),
					ddl::literal(bound_of(partition)));
}

void check_partition(Relation parent, Oid partition)
{
	const char *name = get_rel_name(partition);
	if (parent->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("table \"%s\" is not partitioned", RelationGetRelationName(parent))));
	if (!name)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("relation with OID %u does not exist", partition)));
	if (!get_rel_relispartition(partition) ||
		get_partition_parent(partition, true) != RelationGetRelid(parent))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("relation \"%s\" is not a partition of relation \"%s\"", name,
							   RelationGetRelationName(parent))));
}

void run_detach_step(jobs::StepContext *context)
{
	ddl::run_step(context, "schema change", look, ddl::run_at_top_level);
}

void add_detach_steps(ddl::Recipe *recipe, Oid parent, Oid partition)
{
	bool pending = is_pending(partition);
	bool online = pending || !OidIsValid(get_default_partition_oid(parent));
	char *plain = detach_statement(parent, partition, "");
	ddl::RecipeStep *step =
		online ? ddl::add_step(
					 recipe, "detach",
					 detach_statement(parent, partition, pending ? " FINALIZE" : " CONCURRENTLY"))
			   : ddl::add_step(recipe, "statement", plain);
	if (online) {
		ddl::add_lock(step, parent, Lock::share_update_exclusive);
		ddl::add_lock(step, partition, Lock::access_share);
		step->left = "Where the partition is marked as being detached, safe_migrate.retry() "
					 "finishes that.";
	} else
		ddl::add_statement_locks(step, plain);
	step->done = psprintf("SELECT NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = %u AND "
						  "inhparent = %u)",
						  partition, parent);
	if (!online)
		ddl::expect_relation(step, partition);
	step->undo = undo_of_detach(parent, partition, online && !pending);
}

namespace {

void note_default_partition(Relation parent)
{
	if (OidIsValid(get_default_partition_oid(RelationGetRelid(parent))))
		ereport(NOTICE,
				(errmsg("a partition can't be detached concurrently from \"%s\", which has a "
						"default partition",
						RelationGetRelationName(parent)),
				 errdetail("The table, the partition and the default partition are locked for "
						   "a moment, in short tries.")));
}

jobs::JobId detach(Oid parent_oid, Oid partition, const Options &options)
{
	char *sql = detach_statement(parent_oid, partition, "");
	auto plan = [&](ddl::Recipe *recipe, Relation parent) {
		check_partition(parent, partition);
		bool pending = is_pending(partition);
		if (!pending)
			note_default_partition(parent);
		add_detach_steps(recipe, parent_oid, partition);
		recipe->plain =
			list_make1(pending ? detach_statement(parent_oid, partition, " FINALIZE") : sql);
	};
	return ddl::carry_out_on_table("detach_partition", parent_oid, sql, options, plan);
}

} // namespace

} // namespace safe_migrate::operations::partition

SAFE_MIGRATE_OPERATION(safe_migrate_detach_partition_safely)
{
	using namespace safe_migrate::operations;
	begin_call(fcinfo, "detach_partition_safely()", {"parent", "partition"});
	PG_RETURN_INT64(partition::detach(PG_GETARG_OID(0), PG_GETARG_OID(1), read_options(fcinfo, 2)));
}
