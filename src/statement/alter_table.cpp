// ALTER TABLE and its kin: target, lock, recursion; the sub-commands are handed on.
#include "statement/analysis.hpp"

namespace safe_migrate::statement {

void analyse_alter_table(Analysis *, const AlterTableStmt *) {}
void analyse_move_all(Analysis *, const AlterTableMoveAllStmt *) {}

} // namespace safe_migrate::statement
