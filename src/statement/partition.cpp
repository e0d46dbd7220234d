// ATTACH and DETACH PARTITION.
#include "statement/analysis.hpp"

namespace safe_migrate::statement {

void analyse_attach_partition(Analysis *, Oid, const AlterTableCmd *) {}
void analyse_detach_partition(Analysis *, Oid, const AlterTableCmd *) {}

} // namespace safe_migrate::statement
