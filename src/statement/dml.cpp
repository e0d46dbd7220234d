// INSERT, UPDATE, DELETE, MERGE as planned.
#include "statement/analysis.hpp"

namespace safe_migrate::statement {

void analyse_plan(Analysis *, const PlannedStmt *) {}

} // namespace safe_migrate::statement
