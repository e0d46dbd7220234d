// attach_partition_safely(): CHECK constraints prove what ATTACH would scan for, in the new
// partition and in the default one; after ATTACH they go, in the same transaction.
#include "operations/constraint/steps.hpp"
#include "operations/ddl/sql.hpp"
#include "operations/ddl/statement_locks.hpp"
#include "operations/ddl/target.hpp"
#include "operations/partition/steps.hpp"
#include "operations/user_text.hpp"
#include "pg/boundary.hpp"
#include "pg/pinned_settings.hpp"
#include "statement/partition.hpp"
#include "statement/relations.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "commands/tablecmds.h"
#include "lib/stringinfo.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_node.h"
#include "parser/parse_utilcmd.h"
#include "partitioning/partbounds.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"
}

namespace safe_migrate::operations::partition {

using ddl::identifier;
using ddl::literal;
using ddl::quoted_name;

namespace {

constexpr const char *prefix = "ALTER TABLE x ATTACH PARTITION y ";

void not_a_bound(const UserText &text, int location)
{
	ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR),
					errmsg("the bound must be one partition bound, and nothing else"),
					errhint("For example: 'FOR VALUES FROM (1) TO (10)', 'FOR VALUES IN (1, 2)', "
							"'DEFAULT'."),
					position_of(text, location)));
}

char *bound_text(PartitionBoundSpec *spec)
{
	pg::PinnedSettings pinned = {};
	pinned.enter();
	char *text = deparse_expression(reinterpret_cast<Node *>(spec), NIL, false, false);
	pinned.leave();
	return text;
}

} // namespace

Bound make_bound(Relation parent, PartitionBoundSpec *parsed, const char *source)
{
	ParseState *state = make_parsestate(nullptr);
	state->p_sourcetext = source;
	Bound bound = {};
	bound.spec = transformPartitionBound(state, parent, parsed);
	bound.text = bound_text(bound.spec);
	return bound;
}

Bound read_bound(Relation parent, const char *source)
{
	UserText text = user_text("bound", prefix, source);
	text.enter();
	auto *command = castNode(PartitionCmd, parse_command(text, not_a_bound)->def);
	Bound bound = make_bound(parent, command->bound, text.source);
	text.leave();
	return bound;
}

namespace {

// ---------------------------------------------------------------- proofs

// The condition on the table's own columns, as it is proven: nullptr where there is nothing to
// prove, or constraints do so already.
char *to_be_proven(Relation table, List *constraint)
{
	if (constraint == NIL || PartConstraintImpliedByRelConstraint(table, constraint))
		return nullptr;
	pg::PinnedSettings pinned = {};
	pinned.enter();
	char *text = deparse_expression(
		reinterpret_cast<Node *>(make_ands_explicit(constraint)),
		deparse_context_for(RelationGetRelationName(table), RelationGetRelid(table)), false, false);
	pinned.leave();
	return text;
}

// As ATExecAttachPartition() has it.
List *constraint_of_child(Relation parent, Relation child, PartitionBoundSpec *bound)
{
	List *constraint =
		list_concat_copy(get_qual_from_partbound(parent, bound), RelationGetPartitionQual(parent));
	if (constraint == NIL)
		return NIL;
	constraint = reinterpret_cast<List *>(
		eval_const_expressions(nullptr, reinterpret_cast<Node *>(constraint)));
	constraint = list_make1(make_ands_explicit(constraint));
	return map_partition_varattnos(constraint, 1, child, parent);
}

List *constraint_of_default(Relation parent, Relation other, PartitionBoundSpec *bound)
{
	List *constraint = get_proposed_default_constraint(get_qual_from_partbound(parent, bound));
	return map_partition_varattnos(constraint, 1, other, parent);
}

// Nothing is left where rows are in the way: the error has their number and some keys.
void take_away_where_violated(ddl::Recipe *recipe, int first,
							  const constraint::Definition &definition, Oid oid)
{
	ListCell *cell;
	for_each_from(cell, recipe->steps, first)
	{
		auto *step = static_cast<ddl::RecipeStep *>(lfirst(cell));
		step->left = nullptr;
		step->redo = foreach_current_index(cell) - first + 1;
		step->cleanup = psprintf("ALTER TABLE %s DROP CONSTRAINT %s", quoted_name(oid),
								 identifier(definition.name));
		step->cleanup_when = constraint::exists_query(oid, definition, false);
	}
}

// A constraint that is there until the partition is attached.
struct Proof {
	Oid table;
	const char *name; // nullptr: none is needed
};

// partition: whose bound it is, where that is another table, which may get several at a time.
Proof add_proof(ddl::Recipe *recipe, Relation table, const char *condition, const char *partition)
{
	if (!condition)
		return {RelationGetRelid(table), nullptr};
	char *name = ChooseConstraintName(RelationGetRelationName(table), partition, "bound_check",
									  RelationGetNamespace(table), NIL);
	constraint::Definition definition = constraint::read_definition(
		table, psprintf("CONSTRAINT %s CHECK (%s)", identifier(name), condition));
	constraint::add_not_valid_step(recipe, table, definition);
	int first = list_length(recipe->steps);
	constraint::add_validate_steps(recipe, table, definition);
	take_away_where_violated(recipe, first, definition, RelationGetRelid(table));
	return {RelationGetRelid(table), name};
}

// What the steps from `first` on leave of the proof before them.
void tell_what_stays(ddl::Recipe *recipe, int first, const Proof &proof)
{
	ListCell *cell;
	for_each_from(cell, recipe->steps, first)
	{
		if (proof.name)
			static_cast<ddl::RecipeStep *>(lfirst(cell))->left =
				psprintf("Constraint %s of %s stays until the partition is attached: call "
						 "safe_migrate.retry(), or drop it.",
						 identifier(proof.name), quoted_name(proof.table));
	}
}

Proof add_default_proof(ddl::Recipe *recipe, Relation parent, const char *partition,
						PartitionBoundSpec *bound)
{
	Oid oid = get_default_partition_oid(RelationGetRelid(parent));
	if (!OidIsValid(oid))
		return {};
	Relation other = table_open(oid, AccessShareLock);
	char *condition = to_be_proven(other, constraint_of_default(parent, other, bound));
	if (condition)
		ereport(NOTICE, (errmsg("until \"%s\" has its new partition, rows for it are refused",
								RelationGetRelationName(parent)),
						 errdetail("The default partition %s must not take them any more while it "
								   "is proven to hold none.",
								   quoted_name(oid))));
	Proof proof = add_proof(recipe, other, condition, partition);
	table_close(other, NoLock);
	return proof;
}

// ---------------------------------------------------------------- the last step

void append_drop(StringInfo sql, StringInfo done, const Proof &proof)
{
	if (!proof.name)
		return;
	appendStringInfo(sql, "; ALTER TABLE %s DROP CONSTRAINT %s", quoted_name(proof.table),
					 identifier(proof.name));
	appendStringInfo(done,
					 " AND NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = %u AND conname "
					 "= %s)",
					 proof.table, literal(proof.name));
}

char *attach_statement(Oid parent, Oid child, const Bound &bound)
{
	return psprintf("ALTER TABLE %s ATTACH PARTITION %s %s", quoted_name(parent),
					quoted_name(child), bound.text);
}

char *is_attached_query(Oid parent, Oid child)
{
	return psprintf(
		"SELECT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = %u AND inhparent = %u)", child,
		parent);
}

void add_last_step(ddl::Recipe *recipe, Oid parent, Oid child, const Bound &bound, const Proof &own,
				   const Proof &others)
{
	char *attach = attach_statement(parent, child, bound);
	StringInfoData sql, done;
	initStringInfo(&sql);
	initStringInfo(&done);
	appendStringInfoString(&sql, attach);
	appendStringInfoString(&done, is_attached_query(parent, child));
	append_drop(&sql, &done, own);
	append_drop(&sql, &done, others);
	ddl::RecipeStep *step = ddl::add_step(recipe, "statement", sql.data);
	ddl::add_statement_locks(step, attach);
	step->done = done.data;
	ddl::expect_relation(step, child);
	step->left = "What was built and proven for it stays: safe_migrate.retry() goes on from there.";
	// (concurrently it would leave a CHECK)
	step->undo =
		psprintf("ALTER TABLE %s DETACH PARTITION %s", quoted_name(parent), quoted_name(child));
}

} // namespace

char *bound_of(Oid partition)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(partition));
	bool is_null = true;
	Datum bound = 0;
	if (HeapTupleIsValid(tuple))
		bound = SysCacheGetAttr(RELOID, tuple, Anum_pg_class_relpartbound, &is_null);
	char *shown =
		is_null
			? pstrdup("")
			: bound_text(castNode(PartitionBoundSpec, stringToNode(TextDatumGetCString(bound))));
	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return shown;
}

void check_new_child(Relation parent, Relation child)
{
	const char *name = RelationGetRelationName(child);
	if (parent->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("table \"%s\" is not partitioned", RelationGetRelationName(parent))));
	if (child->rd_rel->relispartition)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s\" is already a partition", name)));
	if (parent->rd_rel->relpersistence != child->rd_rel->relpersistence &&
		(parent->rd_rel->relpersistence == RELPERSISTENCE_TEMP ||
		 child->rd_rel->relpersistence == RELPERSISTENCE_TEMP))
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("cannot attach \"%s\": one of the two tables is temporary", name)));
	ListCell *cell;
	foreach (cell, statement::with_descendants(RelationGetRelid(child)))
		if (lfirst_oid(cell) == RelationGetRelid(parent))
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_TABLE), errmsg("circular inheritance not allowed")));
}

void check_bound(Relation parent, char *child, PartitionBoundSpec *parsed, const char *sql)
{
	if (statement::bound_is_volatile(parent, parsed, sql))
		return;
	ParseState *state = make_parsestate(nullptr);
	state->p_sourcetext = sql;
	check_new_partition_bound(child, parent, make_bound(parent, parsed, sql).spec, state);
}

void add_attach_steps(ddl::Recipe *recipe, Relation parent, Relation child, const Bound &bound)
{
	check_new_child(parent, child);
	check_new_partition_bound(RelationGetRelationName(child), parent, bound.spec,
							  make_parsestate(nullptr));
	int begin = list_length(recipe->steps);
	add_preparation_steps(recipe, parent, child);
	Proof own =
		add_proof(recipe, child,
				  to_be_proven(child, constraint_of_child(parent, child, bound.spec)), nullptr);
	Proof others = {};
	int first = list_length(recipe->steps);
	if (!bound.spec->is_default)
		others = add_default_proof(recipe, parent, RelationGetRelationName(child), bound.spec);
	tell_what_stays(recipe, first, own);
	ddl::end_where(recipe, begin,
				   is_attached_query(RelationGetRelid(parent), RelationGetRelid(child)));
	add_last_step(recipe, RelationGetRelid(parent), RelationGetRelid(child), bound, own, others);
}

void check_new_partition(Relation parent, const CreateStmt *statement, const char *sql)
{
	if (parent->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s\" is not partitioned", RelationGetRelationName(parent))));
	if (!statement::bound_is_volatile(parent, statement->partbound, sql))
		check_new_partition_bound(statement->relation->relname, parent,
								  make_bound(parent, statement->partbound, sql).spec,
								  make_parsestate(nullptr));
}

void add_create_steps(ddl::Recipe *recipe, Relation parent, const CreateStmt *statement,
					  const char *sql)
{
	check_new_partition(parent, statement, sql);
	Bound bound = make_bound(parent, statement->partbound, sql);
	Proof proof = add_default_proof(recipe, parent, statement->relation->relname, bound.spec);
	StringInfoData all, done;
	initStringInfo(&all);
	initStringInfo(&done);
	appendStringInfoString(&all, sql);
	append_drop(&all, &done, proof);
	ddl::RecipeStep *step = ddl::add_step(recipe, "statement", all.data);
	ddl::add_statement_locks(step, sql);
	step->caller_path = true;
	ddl::expect_relation(step, RelationGetRelid(parent));
	if (proof.name)
		step->left = psprintf("Constraint %s of %s stays until the partition is there: call "
							  "safe_migrate.retry(), or drop it.",
							  identifier(proof.name), quoted_name(proof.table));
}

namespace {

// Both are locked against changes up to the end of the transaction.
jobs::JobId attach(Oid parent_oid, Oid child_oid, const char *text, const Options &options)
{
	Relation parent = ddl::open_owned_table(parent_oid);
	Relation child = ddl::open_owned_table(child_oid);
	if (parent->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		check_new_child(parent, child);
	Bound bound = read_bound(parent, text);
	char *sql = attach_statement(parent_oid, child_oid, bound);
	ddl::Recipe recipe = ddl::new_recipe("attach_partition", parent_oid, sql);
	jobs::JobId id = ddl::find_earlier(recipe, options);
	if (id == 0) {
		recipe.relations = statement::leaves(child_oid);
		Oid other = get_default_partition_oid(parent_oid);
		if (OidIsValid(other))
			recipe.relations = list_concat_unique_oid(recipe.relations, statement::leaves(other));
		add_attach_steps(&recipe, parent, child, bound);
		recipe.plain = lappend(recipe.plain, sql);
	}
	table_close(child, NoLock);
	table_close(parent, NoLock);
	return id == 0 ? ddl::carry_out(recipe, options) : id;
}

} // namespace

} // namespace safe_migrate::operations::partition

SAFE_MIGRATE_OPERATION(safe_migrate_attach_partition_safely)
{
	using namespace safe_migrate::operations;
	begin_call(fcinfo, "attach_partition_safely()", {"parent", "partition", "bound"});
	PG_RETURN_INT64(partition::attach(PG_GETARG_OID(0), PG_GETARG_OID(1),
									  text_to_cstring(PG_GETARG_TEXT_PP(2)),
									  read_options(fcinfo, 3)));
}
