// UPDATE, DELETE and MERGE as planned: do they touch all rows, or too many?
#include "statement/dml.hpp"
#include "statement/relations.hpp"

#include "settings.hpp"

extern "C" {
#include "nodes/plannodes.h"
#include "parser/parsetree.h"
}

namespace safe_migrate::statement {

namespace {

// One statement's target: the range table indexes of its leaves.
using Leaves = const List *;

bool reads_target(const Plan *plan, Leaves leaves);

bool any_reads_target(const List *plans, Leaves leaves)
{
	ListCell *cell;
	foreach (cell, plans) {
		if (reads_target(static_cast<const Plan *>(lfirst(cell)), leaves))
			return true;
	}
	return false;
}

bool reads_target(const Plan *plan, Leaves leaves)
{
	check_stack_depth();
	if (plan == nullptr)
		return false;
	switch (nodeTag(plan)) {
		case T_SeqScan:
		case T_IndexScan:
		case T_IndexOnlyScan:
		case T_BitmapHeapScan:
		case T_TidScan:
		case T_TidRangeScan:
		case T_SampleScan:
		case T_ForeignScan:
			return list_member_int(
				leaves, static_cast<int>(reinterpret_cast<const Scan *>(plan)->scanrelid));
		case T_Append:
			return any_reads_target(reinterpret_cast<const Append *>(plan)->appendplans, leaves);
		case T_MergeAppend:
			return any_reads_target(reinterpret_cast<const MergeAppend *>(plan)->mergeplans,
									leaves);
		case T_SubqueryScan:
			return reads_target(reinterpret_cast<const SubqueryScan *>(plan)->subplan, leaves);
		default:
			return reads_target(plan->lefttree, leaves) || reads_target(plan->righttree, leaves);
	}
}

bool restricts(const Plan *plan, Leaves leaves);

bool any_restricts(const List *plans, Leaves leaves)
{
	ListCell *cell;
	foreach (cell, plans) {
		if (restricts(static_cast<const Plan *>(lfirst(cell)), leaves))
			return true;
	}
	return false;
}

// A join without a condition leaves no row of the target out, whatever is joined.  The condition
// may be in what the inner side is given of the outer one.
bool join_restricts(const NestLoop *join, Leaves leaves)
{
	if (join->join.joinqual != NIL || (join->nestParams != NIL && join->join.jointype != JOIN_LEFT))
		return true;
	const Plan *plan = &join->join.plan;
	return restricts(reads_target(plan->lefttree, leaves) ? plan->lefttree : plan->righttree,
					 leaves);
}

// A condition that is not about rows lets all of them pass, or none.  None for sure where it is a
// constant that the planner has left there.
bool is_never_true(const List *conditions)
{
	ListCell *cell;
	foreach (cell, conditions) {
		if (!IsA(lfirst(cell), Const))
			continue;
		auto *constant = lfirst_node(Const, cell);
		if (constant->constisnull || !DatumGetBool(constant->constvalue))
			return true;
	}
	return false;
}

// Does any part of the plan leave rows of the target out?  What the planner made of WHERE: a
// condition that is always true is gone, one that is not about rows has become a Result.
bool restricts(const Plan *plan, Leaves leaves)
{
	check_stack_depth();
	if (plan == nullptr)
		return false;
	if (plan->qual != NIL)
		return true;
	switch (nodeTag(plan)) {
		case T_SeqScan:
			return false;
		case T_IndexScan:
			return reinterpret_cast<const IndexScan *>(plan)->indexqual != NIL;
		case T_IndexOnlyScan:
			return reinterpret_cast<const IndexOnlyScan *>(plan)->indexqual != NIL;
		case T_Append:
			return any_restricts(reinterpret_cast<const Append *>(plan)->appendplans, leaves);
		case T_MergeAppend:
			return any_restricts(reinterpret_cast<const MergeAppend *>(plan)->mergeplans, leaves);
		case T_SubqueryScan:
			return restricts(reinterpret_cast<const SubqueryScan *>(plan)->subplan, leaves);
		case T_Result:
			return plan->lefttree == nullptr ||
				   is_never_true(
					   castNode(List, reinterpret_cast<const Result *>(plan)->resconstantqual)) ||
				   restricts(plan->lefttree, leaves);
		case T_NestLoop:
			return join_restricts(reinterpret_cast<const NestLoop *>(plan), leaves);
		case T_Material:
		case T_Sort:
		case T_IncrementalSort:
		case T_LockRows:
		case T_ProjectSet:
		case T_WindowAgg:
		case T_Gather:
		case T_GatherMerge:
			return restricts(plan->lefttree, leaves);
		default:
			return true; // by the key of a join, a LIMIT, a TID, a remote server …
	}
}

MergeActions actions_of(const ModifyTable *modify)
{
	MergeActions actions = {};
	ListCell *list;
	foreach (list, modify->mergeActionLists) {
		ListCell *cell;
		foreach (cell, static_cast<List *>(lfirst(list))) {
			auto *action = lfirst_node(MergeAction, cell);
			actions.add(action, action->qual != nullptr);
		}
	}
	return actions;
}

bool merge_touches_all(const ModifyTable *modify, CmdType *command)
{
	const MergeActions actions = actions_of(modify);
	*command = actions.deletes ? CMD_DELETE : CMD_UPDATE;
	return actions.all_matched &&
		   (actions.all_unmatched || !restricts(outerPlan(&modify->plan), modify->resultRelations));
}

// Nothing in the plan leaves out a row of the target; command: what is done to them.
bool touches_all(const ModifyTable *modify, CmdType *command)
{
	*command = modify->operation;
	switch (modify->operation) {
		case CMD_UPDATE:
		case CMD_DELETE:
			return !restricts(outerPlan(&modify->plan), modify->resultRelations);
		case CMD_MERGE:
			return merge_touches_all(modify, command);
		default:
			return false;
	}
}

int64 bytes_of(const ModifyTable *modify, List *range_table)
{
	int64 bytes = 0;
	ListCell *cell;
	foreach (cell, modify->resultRelations) {
		int64 own = own_heap_bytes(rt_fetch(lfirst_int(cell), range_table)->relid);
		bytes = own < 0 || bytes < 0 ? -1 : bytes + own;
	}
	return bytes;
}

double rows_of(const ModifyTable *modify)
{
	const Plan *rows = outerPlan(&modify->plan);
	bool touches = modify->operation == CMD_MERGE ? actions_of(modify).touches
												  : modify->operation != CMD_INSERT;
	return touches && rows != nullptr ? rows->plan_rows : 0;
}

void add_rows(Analysis *analysis, const ModifyTable *modify, List *range_table, Cause cause,
			  Effect effect, double rows)
{
	Oid relation = rt_fetch(modify->nominalRelation, range_table)->relid;
	Finding *finding = add_finding(analysis, cause, effect, relation, Lock::row_exclusive);
	finding->is_target = true;
	finding->bytes = bytes_of(modify, range_table);
	if (finding->bytes == 0 && finding->exempt == Exempt::no)
		finding->exempt = Exempt::empty; // whatever its children have
	finding->rows = static_cast<int64>(rows);
	finding->definition = analysis->source;
}

void add_modification(Analysis *analysis, const ModifyTable *modify, List *range_table)
{
	CmdType command;
	if (touches_all(modify, &command))
		add_rows(analysis, modify, range_table,
				 command == CMD_DELETE ? Cause::delete_without_where : Cause::update_without_where,
				 command == CMD_DELETE ? Effect::data_loss : Effect::scan, rows_of(modify));
}

// A ModifyTable is at the top of the statement, or of a WITH query.  As they run: those first.
template <class F> void for_each_modification(const PlannedStmt *plan, F &&look)
{
	auto look_at = [&](const Plan *node) {
		if (node != nullptr && IsA(node, ModifyTable))
			look(reinterpret_cast<const ModifyTable *>(node));
	};
	ListCell *cell;
	foreach (cell, plan->subplans)
		look_at(static_cast<const Plan *>(lfirst(cell)));
	look_at(plan->planTree);
}

// From the part on that is one too many, with all that came before it.
void count_rows(Analysis *analysis, const PlannedStmt *plan)
{
	double rows = 0;
	for_each_modification(plan, [&](const ModifyTable *modify) {
		const double own = rows_of(modify);
		rows += own;
		if (own == 0 || rows <= settings::max_rows_per_statement)
			return;
		add_rows(analysis, modify, plan->rtable, Cause::too_many_rows, Effect::metadata, rows);
		if (own < rows)
			analysis->effects->findings[analysis->effects->n - 1].facts = counted_together;
	});
}

} // namespace

double touched_rows(const PlannedStmt *plan)
{
	double rows = 0;
	for_each_modification(plan, [&](const ModifyTable *modify) { rows += rows_of(modify); });
	return rows;
}

bool writes_all_rows(const PlannedStmt *plan)
{
	auto writes_all = [](const Plan *node) {
		CmdType command;
		return node != nullptr && IsA(node, ModifyTable) &&
			   touches_all(reinterpret_cast<const ModifyTable *>(node), &command);
	};
	if (writes_all(plan->planTree))
		return true;
	ListCell *cell;
	foreach (cell, plan->subplans)
		if (plan->hasModifyingCTE && writes_all(static_cast<const Plan *>(lfirst(cell))))
			return true;
	return false;
}

bool leaves_rows_out(const Plan *plan, const List *leaves) { return restricts(plan, leaves); }

void analyse_plan(Analysis *analysis, const PlannedStmt *plan)
{
	if (plan->commandType == CMD_UTILITY)
		return;
	for_each_modification(
		plan, [&](const ModifyTable *modify) { add_modification(analysis, modify, plan->rtable); });
	if (settings::max_rows_per_statement > 0)
		count_rows(analysis, plan);
}

} // namespace safe_migrate::statement
