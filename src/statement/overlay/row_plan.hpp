// How many rows a statement of a script would touch: planned as the SELECT of them.
#pragma once
#include "statement/analysis.hpp"
#include "statement/overlay/change.hpp"

namespace safe_migrate::statement::overlay {

struct Planned {
	bool planned;
	bool leaves_some; // so much can be told of one that is not planned
	bool touches_all;
	int64 rows;
	List *locked; // of the target and its descendants, as oids: what the planner has not pruned
};

// Those of a table that the script has not changed.
Planned plan_change(Analysis *analysis, const Change &change, Oid relation);

// The script has changed what is `named`: planned = false where it can't be.
Planned plan_changed(Analysis *analysis, const Change &change, Oid named, Oid relation);

// The rows that a query gives, that an INSERT adds; planned = false where that can't be told.
Planned plan_query(Analysis *analysis, Node *select);
Planned plan_insertion(Analysis *analysis, const InsertStmt *insert);

// WITH queries that change rows stand for the rows that they would return.
WithClause *reading(const WithClause *with);

} // namespace safe_migrate::statement::overlay
