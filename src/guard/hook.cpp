// Hooks only dispatch, as in contrib/auto_explain; judging is in gate.cpp.
#include "guard/hook.hpp"

#include "guard/gate.hpp"
#include "guard/override.hpp"
#include "guard/policy.hpp"
#include "guard/recent_columns.hpp"
#include "guard/rule_settings.hpp"
#include "guard/transaction.hpp"
#include "pg/own_statement.hpp"
#include "pg/session_relations.hpp"
#include "settings.hpp"

extern "C" {
#include "access/xact.h"
#include "executor/executor.h"
#include "tcop/dest.h"
#include "tcop/utility.h"
}

namespace safe_migrate::guard {

namespace {

ProcessUtility_hook_type previous_utility = nullptr;
ExecutorStart_hook_type previous_start = nullptr;

bool is_discard_all(const Node *statement)
{
	return IsA(statement, DiscardStmt) &&
		   reinterpret_cast<const DiscardStmt *>(statement)->target == DISCARD_ALL;
}

// Cheap questions first: SET, COMMIT and their like must not feel the guard.
bool has_to_be_judged(const Node *statement, ProcessUtilityContext context, bool own)
{
	if (settings::guard == GUARD_OFF || own || context == PROCESS_UTILITY_SUBCOMMAND)
		return false;
	if (!statement::may_have_effects(statement) || IsA(statement, DoStmt) ||
		IsA(statement, CallStmt))
		return false; // what they run comes by itself
	return !nobody_is_judged_here() && extension_is_here();
}

void on_utility(PlannedStmt *planned, const char *source, bool read_only_tree,
				ProcessUtilityContext context, ParamListInfo params, QueryEnvironment *environment,
				DestReceiver *dest, QueryCompletion *completion)
{
	Node *statement = planned->utilityStmt;
	bool own = context != PROCESS_UTILITY_SUBCOMMAND && pg::take_own_statement_mark();
	if (context == PROCESS_UTILITY_TOPLEVEL)
		override_sees_statement();
	bool hands_session_on = is_discard_all(statement); // which may free what it was planned from
	Passage passage = {};
	if (has_to_be_judged(statement, context, own))
		pass_utility(&passage, statement, source, planned->stmt_location, planned->stmt_len);
	auto next = previous_utility ? previous_utility : standard_ProcessUtility;
	next(planned, source, read_only_tree, context, params, environment, dest, completion);
	if (hands_session_on)
		pg::forget_session_relations();
	if (passage.was_judged)
		after_utility(&passage);
	else if (own)
		after_own_utility();
}

// What an application does all day must not feel the guard: a look at the plan, which ends at the
// first condition that it finds there.
bool is_about_many_rows(const PlannedStmt *plan, bool fills_table)
{
	if (fills_table && fills_for_long(plan))
		return true;
	if (plan->commandType == CMD_SELECT && !plan->hasModifyingCTE)
		return false;
	return statement::writes_all_rows(plan) || writes_too_many_rows(plan);
}

// The rows of which command they are, where they go to a new table (SELECT INTO too; materialized
// views).
const char *filling_command(const QueryDesc *query)
{
	if (query->dest == nullptr)
		return nullptr;
	switch (query->dest->mydest) {
		case DestIntoRel:
			return "CREATE TABLE AS";
		case DestTransientRel:
			return "REFRESH MATERIALIZED VIEW";
		default:
			return nullptr;
	}
}

void on_executor_start(QueryDesc *query, int flags)
{
	const bool own = pg::take_own_rows_mark();
	override_sees_statement();
	const char *fills = filling_command(query);
	if (settings::guard != GUARD_OFF && !own &&
		is_about_many_rows(query->plannedstmt, fills != nullptr) &&
		(flags & EXEC_FLAG_EXPLAIN_ONLY) == 0 && !nobody_is_judged_here()) {
		Passage passage = {};
		pass_plan(&passage, query->plannedstmt, query->sourceText, fills);
	}
	if (previous_start)
		previous_start(query, flags);
	else
		standard_ExecutorStart(query, flags);
}

} // namespace

void prepare_settings()
{
	install_rule_settings();
	install_override();
}

void install_guard()
{
	install_policy_cache();
	install_transaction_rules();
	install_recent_columns();
	previous_utility = ProcessUtility_hook;
	ProcessUtility_hook = on_utility;
	previous_start = ExecutorStart_hook;
	ExecutorStart_hook = on_executor_start;
}

} // namespace safe_migrate::guard
