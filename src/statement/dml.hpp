// Statements about rows: what their plans leave out.
#pragma once
#include "pg/postgres.hpp"

#include "pg/compat_analysis.hpp"
#include "statement/analysis.hpp"

extern "C" {
#include "nodes/plannodes.h"
}

namespace safe_migrate::statement {

constexpr const char *counted_together = "those of the statement's other parts are counted in";
constexpr double many_rows = 10000; // that keep a transaction busy

// What the actions of a MERGE that have no condition do, whatever the rows hold.
struct MergeActions {
	bool all_matched;	// rows of the target that match are updated or deleted
	bool all_unmatched; // those that don't are, too (WHEN NOT MATCHED BY SOURCE)
	bool any_unmatched; // under a condition, too
	bool deletes;
	bool touches;		 // any row of the target at all: adding some is not meant
	bool spares_matched; // some, by DO NOTHING under a condition
	bool spares_unmatched;

	// In their order; a MergeAction or a MergeWhenClause.
	template <class Action> void add(const Action *action, bool has_condition)
	{
		const bool matched = pg::is_for_matched(action);
		const bool unmatched = pg::is_for_unmatched_target(action);
		if (action->commandType == CMD_NOTHING) {
			spares_matched |= matched;
			spares_unmatched |= unmatched;
		}
		if (action->commandType != CMD_UPDATE && action->commandType != CMD_DELETE)
			return;
		touches = true;
		any_unmatched |= unmatched;
		if (has_condition)
			return;
		all_matched |= matched && !spares_matched;
		all_unmatched |= unmatched && !spares_unmatched;
		deletes |= action->commandType == CMD_DELETE;
	}
};

// Rows that it updates or deletes, by the planner: of all parts of the statement together.
double touched_rows(const PlannedStmt *plan);

// Does any part of the plan leave out rows of the target, whose leaves have these range table
// indexes?
bool leaves_rows_out(const Plan *plan, const List *leaves);

} // namespace safe_migrate::statement
