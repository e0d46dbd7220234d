// See condition.hpp.
#include "statement/overlay/condition.hpp"

#include "pg/compat_analysis.hpp"
#include "statement/folding.hpp"

extern "C" {
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
}

namespace safe_migrate::statement::overlay {

namespace {

constexpr int target = 1; // its place in the range table

bool is_of_target(Node *node, void *levels_up)
{
	if (node == nullptr)
		return false;
	if (IsA(node, Var)) {
		const auto *var = castNode(Var, node);
		return var->varno == target && var->varattno != 0 &&
			   static_cast<int>(var->varlevelsup) == *static_cast<int *>(levels_up);
	}
	if (!IsA(node, Query))
		return pg::walk_expression(node, is_of_target, levels_up);
	int deeper = *static_cast<int *>(levels_up) + 1;
	return pg::walk_query(castNode(Query, node), is_of_target, &deeper, 0);
}

bool has_column(Node *node)
{
	int levels_up = 0;
	return is_of_target(node, &levels_up);
}

// An operator between the column, however it is wrapped, and what has nothing to do with the table.
template <class Expression> bool is_comparison(const Expression *comparison)
{
	if (list_length(comparison->args) != 2)
		return false;
	for (int i = 0; i < 2; i++) {
		auto *side = static_cast<Node *>(list_nth(comparison->args, i));
		auto *other = static_cast<Node *>(list_nth(comparison->args, 1 - i));
		if (!has_column(side) || has_column(other))
			continue;
		auto *alone = static_cast<Expression *>(copyObjectImpl(comparison));
		lfirst(list_nth_cell(alone->args, 1 - i)) =
			makeNullConst(exprType(other), exprTypmod(other), exprCollation(other));
		if (!calls_user_code(reinterpret_cast<Node *>(alone)) && has_column(plan_built_in(side)))
			return true;
	}
	return false;
}

bool compares(Node *condition);

// Of AND one is enough; an OR may come true by any.
bool any_or_all_compare(const BoolExpr *condition)
{
	const bool is_or = condition->boolop == OR_EXPR;
	ListCell *cell;
	foreach (cell, condition->args)
		if (compares(static_cast<Node *>(lfirst(cell))) != is_or)
			return !is_or;
	return is_or;
}

bool compares(Node *condition)
{
	check_stack_depth();
	if (condition == nullptr)
		return false;
	if (IsA(condition, OpExpr))
		return is_comparison(castNode(OpExpr, condition));
	if (IsA(condition, ScalarArrayOpExpr)) {
		const auto *any = castNode(ScalarArrayOpExpr, condition);
		return any->useOr && is_comparison(any);
	}
	if (IsA(condition, SubLink)) {
		const auto *link = castNode(SubLink, condition);
		return link->subLinkType == ANY_SUBLINK && link->testexpr != nullptr &&
			   IsA(link->testexpr, OpExpr) && is_comparison(castNode(OpExpr, link->testexpr));
	}
	return IsA(condition, BoolExpr) && castNode(BoolExpr, condition)->boolop != NOT_EXPR &&
		   any_or_all_compare(castNode(BoolExpr, condition));
}

} // namespace

bool compares_column(const Query *query)
{
	return list_length(query->rtable) >= target &&
		   rt_fetch(target, query->rtable)->rtekind == RTE_RELATION &&
		   compares(query->jointree->quals);
}

} // namespace safe_migrate::statement::overlay
