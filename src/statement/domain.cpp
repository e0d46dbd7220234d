// Domains and enums.
#include "statement/analysis.hpp"

namespace safe_migrate::statement {

void analyse_domain(Analysis *, const AlterDomainStmt *) {}
void analyse_enum(Analysis *, const AlterEnumStmt *) {}

} // namespace safe_migrate::statement
