// UPDATE, DELETE and MERGE as written, for explain().  They are not planned themselves: parse
// analysis would lock the target as they do.  What is planned is a SELECT with their FROM and
// WHERE, in a subtransaction that is rolled back, so that its AccessShare locks are given back; and
// only where that runs nothing that a user wrote.
#include "statement/dml.hpp"

#include "pg/compat_analysis.hpp"
#include "pg/transaction.hpp"
#include "settings.hpp"
#include "statement/relations.hpp"

extern "C" {
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "parser/analyze.h"
#include "tcop/tcopprot.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
}

namespace safe_migrate::statement {

namespace {

// What such statements have in common.
struct Written {
	Cause cause;
	const RangeVar *target;
	List *from;	 // what is joined
	Node *where; // nullptr = none
	const WithClause *with;
};

// Is there an action for rows that match, without a condition of its own?
bool find_merge_cause(const MergeStmt *merge, Cause *cause)
{
	ListCell *cell;
	foreach (cell, merge->mergeWhenClauses) {
		auto *clause = lfirst_node(MergeWhenClause, cell);
		if (clause->condition != nullptr ||
			(clause->commandType != CMD_UPDATE && clause->commandType != CMD_DELETE))
			continue;
		*cause = clause->commandType == CMD_DELETE ? Cause::delete_without_where
												   : Cause::update_without_where;
		return true;
	}
	return false;
}

bool read_statement(const Node *statement, Written *written)
{
	switch (nodeTag(statement)) {
		case T_UpdateStmt: {
			auto *update = reinterpret_cast<const UpdateStmt *>(statement);
			*written = {Cause::update_without_where, update->relation, update->fromClause,
						update->whereClause, update->withClause};
			return true;
		}
		case T_DeleteStmt: {
			auto *del = reinterpret_cast<const DeleteStmt *>(statement);
			*written = {Cause::delete_without_where, del->relation, del->usingClause,
						del->whereClause, del->withClause};
			return true;
		}
		case T_MergeStmt: {
			auto *merge = reinterpret_cast<const MergeStmt *>(statement);
			*written = {Cause::update_without_where, merge->relation,
						list_make1(merge->sourceRelation), merge->joinCondition, merge->withClause};
			return find_merge_cause(merge, &written->cause);
		}
		default:
			return false;
	}
}

const WithClause *with_of(const Node *statement)
{
	switch (nodeTag(statement)) {
		case T_SelectStmt:
			return reinterpret_cast<const SelectStmt *>(statement)->withClause;
		case T_InsertStmt:
			return reinterpret_cast<const InsertStmt *>(statement)->withClause;
		case T_UpdateStmt:
			return reinterpret_cast<const UpdateStmt *>(statement)->withClause;
		case T_DeleteStmt:
			return reinterpret_cast<const DeleteStmt *>(statement)->withClause;
		case T_MergeStmt:
			return reinterpret_cast<const MergeStmt *>(statement)->withClause;
		default:
			return nullptr;
	}
}

bool is_users(Oid function, void *) { return function >= FirstNormalObjectId; }

bool calls_users_function(Node *node, void *context)
{
	if (node == nullptr)
		return false;
	if (IsA(node, Query))
		return pg::walk_query(castNode(Query, node), calls_users_function, context, 0);
	if (IsA(node, CoerceToDomain) || check_functions_in_node(node, is_users, context))
		return true;
	return pg::walk_expression(node, calls_users_function, context);
}

SelectStmt *as_select(const Written &written)
{
	auto *one = makeNode(ResTarget);
	auto *constant = makeNode(A_Const);
	constant->isnull = true;
	one->val = reinterpret_cast<Node *>(constant);
	List *from = written.from;
	auto *select = makeNode(SelectStmt);
	select->targetList = list_make1(one);
	select->fromClause = list_concat(list_make1(copyObject(const_cast<RangeVar *>(written.target))),
									 copyObject(from));
	select->whereClause = static_cast<Node *>(copyObjectImpl(written.where));
	select->withClause = copyObject(const_cast<WithClause *>(written.with));
	return select;
}

// The target, first in the range table, and what it expands to.
List *target_leaves(const PlannedStmt *plan)
{
	List *leaves = list_make1_int(1);
	ListCell *cell;
	foreach (cell, plan->appendRelations) {
		auto *child = lfirst_node(AppendRelInfo, cell);
		if (list_member_int(leaves, static_cast<int>(child->parent_relid)))
			leaves = lappend_int(leaves, static_cast<int>(child->child_relid));
	}
	return leaves;
}

struct Estimate {
	bool known;
	bool touches_all;
	double rows;
};

void plan_select(const Analysis *analysis, const Written &written, Estimate *estimate)
{
	auto *raw = makeNode(RawStmt);
	raw->stmt = reinterpret_cast<Node *>(as_select(written));
	const char *source = analysis->source == nullptr ? "" : analysis->source;
	List *queries = pg_analyze_and_rewrite_fixedparams(raw, source, nullptr, 0, nullptr);
	if (list_length(queries) != 1)
		return;
	auto *query = linitial_node(Query, queries);
	if (calls_users_function(reinterpret_cast<Node *>(query), nullptr))
		return;
	PlannedStmt *plan = pg_plan_query(query, source, CURSOR_OPT_PARALLEL_OK, nullptr);
	estimate->known = true;
	estimate->rows = plan->planTree->plan_rows;
	estimate->touches_all = !leaves_rows_out(plan->planTree, target_leaves(plan));
}

// An error is the statement's own to raise when it runs: here it only means that nothing is known.
Estimate estimate_of(const Analysis *analysis, const Written &written)
{
	Estimate estimate = {false, false, 0};
	if (written.where != nullptr && IsA(written.where, CurrentOfExpr))
		return estimate;
	(void)pg::run_subtransaction([analysis, &written, &estimate] {
		PushActiveSnapshot(GetTransactionSnapshot());
		plan_select(analysis, written, &estimate);
		PopActiveSnapshot();
		ereport(ERROR, (errmsg_internal("its locks are given back")));
	});
	return estimate;
}

void add_rows(Analysis *analysis, const Written &written, Oid target, Cause cause, double rows)
{
	bool loses = cause == Cause::delete_without_where;
	Finding *finding = add_finding(analysis, cause,
								   cause == Cause::too_many_rows ? Effect::metadata
								   : loses						 ? Effect::data_loss
																 : Effect::scan,
								   target, Lock::row_exclusive);
	finding->is_target = true;
	finding->bytes = written.target->inh ? heap_bytes(target) : own_heap_bytes(target);
	finding->rows = static_cast<int64>(rows);
	finding->definition = analysis->effects->text;
}

void analyse_written(Analysis *analysis, const Written &written)
{
	Target target = find_target(analysis, written.target, true);
	if (!OidIsValid(target.relation))
		return;
	Estimate estimate = estimate_of(analysis, written);
	bool touches_all = estimate.known ? estimate.touches_all : written.where == nullptr;
	if (touches_all)
		add_rows(analysis, written, target.relation, written.cause, estimate.rows);
	if (settings::max_rows_per_statement > 0 && estimate.rows > settings::max_rows_per_statement)
		add_rows(analysis, written, target.relation, Cause::too_many_rows, estimate.rows);
}

} // namespace

void analyse_written_rows(Analysis *analysis, const Node *statement)
{
	check_stack_depth();
	Written written;
	if (read_statement(statement, &written))
		analyse_written(analysis, written);
	const WithClause *with = with_of(statement);
	if (with == nullptr)
		return;
	ListCell *cell;
	foreach (cell, with->ctes)
		analyse_written_rows(analysis, lfirst_node(CommonTableExpr, cell)->ctequery);
}

} // namespace safe_migrate::statement
