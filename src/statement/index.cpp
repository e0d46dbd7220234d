// CREATE INDEX, REINDEX.
#include "statement/analysis.hpp"

namespace safe_migrate::statement {

void analyse_create_index(Analysis *, const IndexStmt *) {}
void analyse_reindex(Analysis *, const ReindexStmt *) {}

} // namespace safe_migrate::statement
