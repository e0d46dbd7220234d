// Statements about rows: what their plans leave out, and what they would do as they are written.
#pragma once
#include "pg/postgres.hpp"

#include "statement/analysis.hpp"

extern "C" {
#include "nodes/plannodes.h"
}

namespace safe_migrate::statement {

// Does any part of the plan leave out rows of the target, whose leaves have these range table
// indexes?
bool leaves_rows_out(const Plan *plan, const List *leaves);

// Of an UPDATE, DELETE, MERGE or a statement WITH one of them, as the parser left it: what
// analyse_plan() finds, without the locks of its parse analysis.
void analyse_written_rows(Analysis *analysis, const Node *statement);

} // namespace safe_migrate::statement
