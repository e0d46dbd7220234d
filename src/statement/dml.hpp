// Statements about rows: what their plans leave out.
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

} // namespace safe_migrate::statement
