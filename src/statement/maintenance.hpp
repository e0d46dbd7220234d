// VACUUM, CLUSTER (REPACK), REFRESH MATERIALIZED VIEW: tables written anew.
#pragma once
#include "pg/compat_repack.hpp"
#include "pg/postgres.hpp"

#include "statement/analysis.hpp"

namespace safe_migrate::statement {

void analyse_vacuum(Analysis *analysis, const VacuumStmt *statement);
void analyse_cluster(Analysis *analysis, const pg::Cluster *statement);
void analyse_refresh(Analysis *analysis, const RefreshMatViewStmt *statement);

} // namespace safe_migrate::statement
