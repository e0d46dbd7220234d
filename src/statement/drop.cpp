// DROP and TRUNCATE, with what goes along.
#include "statement/analysis.hpp"

namespace safe_migrate::statement {

void analyse_drop(Analysis *, const DropStmt *) {}
void analyse_truncate(Analysis *, const TruncateStmt *) {}

} // namespace safe_migrate::statement
