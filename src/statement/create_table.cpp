// CREATE TABLE: what it refers to.
#include "statement/analysis.hpp"

namespace safe_migrate::statement {

void analyse_create_table(Analysis *, const CreateStmt *) {}

} // namespace safe_migrate::statement
