// Renames: what clients know by name.
#include "statement/analysis.hpp"

namespace safe_migrate::statement {

void analyse_rename(Analysis *, const RenameStmt *) {}

} // namespace safe_migrate::statement
