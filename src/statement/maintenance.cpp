// Statements on whole tables, and the brief locks.
#include "statement/analysis.hpp"

namespace safe_migrate::statement {

void analyse_maintenance(Analysis *, const Node *) {}

} // namespace safe_migrate::statement
