// ATTACH and DETACH PARTITION.  Follows ATExecAttachPartition() and ATExecDetachPartition().
#include "statement/partition.hpp"

#include "pg/compat_analysis.hpp"
#include "statement/dependents.hpp"
#include "statement/index_match.hpp"
#include "statement/folding.hpp"
#include "statement/relations.hpp"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "catalog/index.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "commands/tablecmds.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_expr.h"
#include "parser/parse_utilcmd.h"
#include "partitioning/partbounds.h"
#include "partitioning/partdesc.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/ruleutils.h"
}

namespace safe_migrate::statement {

namespace {

// ---------------------------------------------------------------- bounds

bool is_min_or_max(const Node *datum)
{
	auto *reference = reinterpret_cast<const ColumnRef *>(datum);
	return IsA(datum, ColumnRef) && list_length(reference->fields) == 1 &&
		   IsA(linitial(reference->fields), String);
}

bool calls_anything(Oid function, void *) { return function >= FirstNormalObjectId; }

// Anything of the users' in it, at any depth?  The server evaluates a bound whatever it is.
bool walk_for_users_functions(Node *node, void *context)
{
	if (node == nullptr)
		return false;
	if (IsA(node, CoerceToDomain) || check_functions_in_node(node, calls_anything, context))
		return true;
	return pg::walk_expression(node, walk_for_users_functions, context);
}

bool is_built_in(Node *value) { return !walk_for_users_functions(value, nullptr); }

bool takes_any(Node *) { return true; }

using Test = bool (*)(Node *value);

// Neither volatile nor refused by the test.
bool is_harmless_datum(ParseState *state, PartitionKey key, int column, const Node *datum,
					   Test test)
{
	if (IsA(datum, PartitionRangeDatum) || IsA(datum, Const) || is_min_or_max(datum))
		return true;
	Node *value =
		transformExpr(state, static_cast<Node *>(copyObjectImpl(datum)), EXPR_KIND_PARTITION_BOUND);
	value = coerce_to_target_type(state, value, exprType(value), key->parttypid[column],
								  key->parttypmod[column], COERCION_ASSIGNMENT,
								  COERCE_IMPLICIT_CAST, -1);
	return value == nullptr || // the server's error to raise
		   (!contain_volatile_functions(value) && test(value));
}

bool are_harmless(ParseState *state, PartitionKey key, const List *datums, Test test)
{
	ListCell *cell;
	foreach (cell, datums) {
		int column = key->strategy == PARTITION_STRATEGY_LIST ? 0 : foreach_current_index(cell);
		if (column < key->partnatts &&
			!is_harmless_datum(state, key, column, static_cast<const Node *>(lfirst(cell)), test))
			return false;
	}
	return true;
}

bool is_harmless(Relation parent, const PartitionBoundSpec *bound, const char *source, Test test)
{
	PartitionKey key = RelationGetPartitionKey(parent);
	if (bound->strategy != key->strategy)
		return true; // the server's error to raise
	ParseState *state = make_parsestate(nullptr);
	state->p_sourcetext = source;
	return are_harmless(state, key, bound->listdatums, test) &&
		   are_harmless(state, key, bound->lowerdatums, test) &&
		   are_harmless(state, key, bound->upperdatums, test);
}

// The bound with its values, as transformPartitionBound() evaluates them; nullptr where that would
// run a user's function, or a volatile one.
PartitionBoundSpec *evaluate_bound(Relation parent, const PartitionBoundSpec *bound,
								   const char *source)
{
	if (!is_harmless(parent, bound, source, is_built_in))
		return nullptr;
	ParseState *state = make_parsestate(nullptr);
	state->p_sourcetext = source;
	return transformPartitionBound(state, parent, const_cast<PartitionBoundSpec *>(bound));
}

// ---------------------------------------------------------------- what has to be scanned

struct Scans {
	Analysis *analysis;
	int64 bytes;
	int tables;
	int proven;
};

void count_scan(Scans *scans, Oid table)
{
	int64 bytes = own_heap_bytes(table);
	scans->bytes = bytes < 0 || scans->bytes < 0 ? -1 : scans->bytes + bytes;
	scans->tables++;
}

// PartConstraintImpliedByRelConstraint() folds the table's CHECK constraints, too.
bool is_proven(Relation table, List *constraint)
{
	TupleConstr *own = RelationGetDescr(table)->constr;
	for (int i = 0; own != nullptr && i < own->num_check; i++) {
		if (calls_user_code(static_cast<Node *>(stringToNode(own->check[i].ccbin))))
			return false;
	}
	return PartConstraintImpliedByRelConstraint(table, constraint);
}

// QueuePartitionConstraintValidation().  constraint: NIL = not to be known without running a
// user's function: everything is scanned.
void find_scans(Scans *scans, Relation table, List *constraint)
{
	check_stack_depth();
	if (constraint != NIL && is_proven(table, constraint)) {
		scans->proven++;
		return;
	}
	if (table->rd_rel->relkind == RELKIND_RELATION)
		return count_scan(scans, RelationGetRelid(table));
	if (table->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		return;
	if (has_rows_elsewhere(RelationGetRelid(table)))
		count_scan(scans, RelationGetRelid(table));
	ListCell *cell;
	foreach (cell, find_inheritance_children(RelationGetRelid(table), NoLock)) {
		add_lock(scans->analysis, lfirst_oid(cell), Lock::access_exclusive);
		Relation child = open_judged(lfirst_oid(cell));
		if (child == nullptr)
			continue;
		find_scans(scans, child,
				   constraint == NIL ? NIL : map_partition_varattnos(constraint, 1, child, table));
		close_judged(child);
	}
}

// RelationGetPartitionQual(), which locks what the relation is a partition of, at all levels.
List *own_bound(Relation relation)
{
	Relation parent = nullptr;
	if (relation->rd_rel->relispartition)
		parent = open_judged(get_partition_parent(RelationGetRelid(relation), true));
	if (parent == nullptr)
		return RelationGetPartitionQual(relation);
	(void)own_bound(parent);
	List *bound = RelationGetPartitionQual(relation);
	close_judged(parent);
	return bound;
}

// The constraint that the bound means for rows of the child: NIL with *known = false where it
// can't be told, with *known = true where there is none.
List *constraint_for(Relation parent, Relation child, PartitionBoundSpec *bound, bool *known)
{
	*known = bound != nullptr;
	if (bound == nullptr)
		return NIL;
	List *constraint = list_concat_copy(get_qual_from_partbound(parent, bound), own_bound(parent));
	if (constraint == NIL)
		return NIL;
	if (calls_user_code(reinterpret_cast<Node *>(constraint))) {
		*known = false;
		return NIL;
	}
	constraint = reinterpret_cast<List *>(
		eval_const_expressions(nullptr, reinterpret_cast<Node *>(constraint)));
	return map_partition_varattnos(list_make1(make_ands_explicit(constraint)), 1, child, parent);
}

// ---------------------------------------------------------------- what ATTACH does to the child

void add_child_scan(Analysis *analysis, Relation parent, Relation child, PartitionBoundSpec *bound)
{
	bool known = false;
	List *constraint = constraint_for(parent, child, bound, &known);
	Scans scans = {analysis, 0, 0, 0};
	if (!known || constraint != NIL)
		find_scans(&scans, child, constraint);
	if (scans.tables == 0)
		return;
	Finding *finding = add_finding(analysis, Cause::attach_partition, Effect::scan,
								   RelationGetRelid(child), Lock::access_exclusive);
	finding->bytes = scans.bytes;
	finding->definition =
		constraint == NIL ? nullptr
						  : deparse_expression(static_cast<Node *>(linitial(constraint)),
											   deparse_context_for(RelationGetRelationName(child),
																   RelationGetRelid(child)),
											   false, false);
	if (!known)
		finding->facts = "its bound calls functions, which are not called to ask";
}

// An index of the parent that the child has no match of: AttachPartitionEnsureIndexes().
void add_child_index(Analysis *analysis, Relation parent, Relation child, Oid index_oid)
{
	Relation index = open_judged_index(index_oid);
	IndexBuilds builds = {};
	if (index->rd_rel->relkind == RELKIND_PARTITIONED_INDEX) {
		IndexShape wanted = shape_of_index(parent, index);
		if (has_matching_index(RelationGetRelid(child), wanted, true))
			builds.matched = 1;
		else if (child->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
			find_builds(RelationGetRelid(child), wanted, &builds);
		else
			builds = {own_heap_bytes(RelationGetRelid(child)), 1, 0};
	}
	if (builds.leaves > 0) {
		Finding *finding = add_finding(analysis, Cause::attach_partition_index, Effect::index_build,
									   RelationGetRelid(child), Lock::access_exclusive);
		finding->bytes = builds.bytes;
		finding->indexes = builds.leaves;
		finding->object = get_rel_name(index_oid);
		finding->definition = pg_get_indexdef_string(index_oid);
	}
	close_judged(index);
}

void add_child_indexes(Analysis *analysis, Relation parent, Relation child)
{
	if (child->rd_rel->relkind == RELKIND_FOREIGN_TABLE)
		return;
	ListCell *cell;
	foreach (cell, own_indexes(RelationGetRelid(parent)))
		add_child_index(analysis, parent, child, lfirst_oid(cell));
}

void attach_table(Analysis *analysis, Relation parent, Oid child_oid, const PartitionCmd *command)
{
	add_default_partition(analysis, parent, command->bound, Cause::attach_partition_default,
						  analysis->source);
	add_lock(analysis, child_oid, Lock::access_exclusive);
	add_locks(analysis, with_descendants(child_oid), Lock::access_exclusive);
	Relation child = open_judged(child_oid);
	if (child == nullptr)
		return;
	add_child_indexes(analysis, parent, child);
	add_keys_of_parent(analysis, parent, child);
	add_child_scan(analysis, parent, child,
				   evaluate_bound(parent, command->bound, analysis->source));
	close_judged(child);
	Finding *finding = first_finding(analysis->effects, child_oid);
	if (finding != nullptr) {
		finding->is_target = true;
		finding->to_parent = RelationGetRelid(parent);
	}
}

// ALTER INDEX … ATTACH PARTITION: ATExecAttachPartitionIdx().
void attach_index(Analysis *analysis, const PartitionCmd *command)
{
	Target child = find_target(analysis, command->name, false);
	if (!OidIsValid(child.relation))
		return;
	Finding *finding = add_lock(analysis, child.relation, Lock::access_exclusive);
	if (finding != nullptr)
		finding->facts = "queries of its table wait for it when they are planned";
}

} // namespace

bool bound_is_volatile(Relation parent, const PartitionBoundSpec *bound, const char *source)
{
	return !is_harmless(parent, bound, source, takes_any);
}

void add_default_partition(Analysis *analysis, Relation parent, const PartitionBoundSpec *bound,
						   Cause cause, const char *source)
{
	Oid default_oid = get_default_partition_oid(RelationGetRelid(parent));
	if (!OidIsValid(default_oid))
		return;
	add_lock(analysis, default_oid, Lock::access_exclusive);
	Relation partition = open_judged(default_oid);
	if (partition == nullptr)
		return;
	PartitionBoundSpec *values = evaluate_bound(parent, bound, source);
	List *constraint = NIL;
	if (values != nullptr) {
		constraint = get_qual_from_partbound(parent, values);
		if (calls_user_code(reinterpret_cast<Node *>(constraint)))
			constraint = NIL;
		else
			constraint = map_partition_varattnos(get_proposed_default_constraint(constraint), 1,
												 partition, parent);
	}
	Scans scans = {analysis, 0, 0, 0};
	find_scans(&scans, partition, constraint);
	if (scans.tables > 0) {
		Finding *finding =
			add_finding(analysis, cause, Effect::scan, default_oid, Lock::access_exclusive);
		finding->bytes = scans.bytes;
		if (constraint != NIL)
			finding->definition = deparse_expression(
				reinterpret_cast<Node *>(make_ands_explicit(constraint)),
				deparse_context_for(RelationGetRelationName(partition), default_oid), false, false);
	}
	close_judged(partition);
}

void analyse_attach_partition(Analysis *analysis, Oid parent_oid, const AlterTableCmd *command)
{
	auto *attach = castNode(PartitionCmd, command->def);
	if (Finding *own = add_lock(analysis, parent_oid, Lock::share_update_exclusive))
		own->is_target = true;
	char kind = get_rel_relkind(parent_oid);
	if (kind == RELKIND_PARTITIONED_INDEX)
		return attach_index(analysis, attach);
	if (kind != RELKIND_PARTITIONED_TABLE || attach->bound == nullptr)
		return;
	Target child = find_target(analysis, attach->name, false);
	Relation parent = open_judged(parent_oid);
	if (parent == nullptr)
		return;
	if (OidIsValid(child.relation))
		attach_table(analysis, parent, child.relation, attach);
	else {
		add_default_partition(analysis, parent, attach->bound, Cause::attach_partition_default,
							  analysis->source);
		add_keys_of_parent(analysis, parent, nullptr);
	}
	close_judged(parent);
}

void analyse_detach_partition(Analysis *analysis, Oid parent_oid, const AlterTableCmd *command)
{
	auto *detach = castNode(PartitionCmd, command->def);
	bool finalize = command->subtype == AT_DetachPartitionFinalize;
	bool online = detach->concurrent || finalize;
	Finding *finding = add_finding(analysis, Cause::detach_partition, Effect::metadata, parent_oid,
								   online ? Lock::share_update_exclusive : Lock::access_exclusive);
	finding->is_target = true;
	finding->object = detach->name->relname;
	Oid default_oid = get_default_partition_oid(parent_oid);
	if (OidIsValid(default_oid) && !online)
		add_lock(analysis, default_oid, Lock::access_exclusive);
	Target child = find_target(analysis, detach->name, false);
	if (!OidIsValid(child.relation))
		return;
	// CONCURRENTLY and FINALIZE: at the very end, when no query uses it through the parent.
	add_locks(analysis, with_descendants(child.relation), Lock::access_exclusive);
	if (Finding *own = first_finding(analysis->effects, child.relation))
		own->leaves_parent = true;
	Relation partition = open_judged(child.relation);
	if (partition == nullptr)
		return;
	add_keys_of_detached(analysis, partition);
	close_judged(partition);
}

} // namespace safe_migrate::statement
