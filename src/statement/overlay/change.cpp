// See change.hpp.
#include "statement/overlay/change.hpp"

#include "statement/dml.hpp"
#include "statement/overlay/rows.hpp"

extern "C" {
#include "commands/defrem.h"
}

namespace safe_migrate::statement::overlay {

namespace {

MergeActions actions_of(const MergeStmt *merge)
{
	MergeActions actions = {};
	ListCell *cell;
	foreach (cell, merge->mergeWhenClauses) {
		auto *clause = lfirst_node(MergeWhenClause, cell);
		actions.add(clause, clause->condition != nullptr);
	}
	return actions;
}

// A MERGE touches every row that matches where it has an action for them without a condition;
// else Cause::lock.
Change change_of_merge(const MergeStmt *merge)
{
	MergeActions actions = actions_of(merge);
	Cause cause = !actions.all_matched ? Cause::lock
				  : actions.deletes	   ? Cause::delete_without_where
									   : Cause::update_without_where;
	return {CMD_MERGE,
			cause,
			merge->relation,
			merge->joinCondition,
			NIL,
			merge->sourceRelation,
			merge->withClause,
			actions.all_matched && actions.all_unmatched,
			actions.any_unmatched,
			!actions.touches,
			nullptr};
}

bool is_analyze(const ExplainStmt *explain)
{
	ListCell *cell;
	foreach (cell, explain->options) {
		auto *option = lfirst_node(DefElem, cell);
		if (strcmp(option->defname, "analyze") == 0 && defGetBoolean(option))
			return true;
	}
	return false;
}

} // namespace

bool change_of(Node *node, Change *change)
{
	switch (nodeTag(node)) {
		case T_UpdateStmt: {
			auto *update = castNode(UpdateStmt, node);
			*change = {CMD_UPDATE,		   Cause::update_without_where,
					   update->relation,   update->whereClause,
					   update->fromClause, nullptr,
					   update->withClause, false};
			return true;
		}
		case T_DeleteStmt: {
			auto *statement = castNode(DeleteStmt, node);
			*change = {CMD_DELETE,
					   Cause::delete_without_where,
					   statement->relation,
					   statement->whereClause,
					   statement->usingClause,
					   nullptr,
					   statement->withClause,
					   false};
			return true;
		}
		case T_MergeStmt: {
			*change = change_of_merge(castNode(MergeStmt, node));
			return true;
		}
		default:
			return false;
	}
}

WithClause *with_of(Node *node)
{
	Change change;
	if (change_of(node, &change))
		return change.with;
	if (IsA(node, SelectStmt))
		return castNode(SelectStmt, node)->withClause;
	return IsA(node, InsertStmt) ? castNode(InsertStmt, node)->withClause : nullptr;
}

Node *query_of(Node *node)
{
	if (IsA(node, ExplainStmt)) {
		Node *explained = carried_out(node);
		return explained != nullptr ? query_of(explained) : node;
	}
	if (IsA(node, CreateTableAsStmt) && !castNode(CreateTableAsStmt, node)->into->skipData)
		return castNode(CreateTableAsStmt, node)->query;
	if (IsA(node, CopyStmt) && castNode(CopyStmt, node)->query != nullptr)
		return castNode(CopyStmt, node)->query;
	return node;
}

Node *carried_out(Node *statement)
{
	if (!IsA(statement, ExplainStmt))
		return statement;
	auto *explain = castNode(ExplainStmt, statement);
	return is_analyze(explain) ? explain->query : nullptr;
}

bool executes_prepared(const Node *statement)
{
	return IsA(query_of(const_cast<Node *>(statement)), ExecuteStmt);
}

} // namespace safe_migrate::statement::overlay
