// CLUSTER, which is a case of REPACK from 19 on; see compat.hpp.
#pragma once
#include "pg/options.hpp"

extern "C" {
#if PG_VERSION_NUM >= 190000
#include "commands/repack.h"
#else
#include "commands/cluster.h"
#endif
}

namespace safe_migrate::pg {

#if PG_VERSION_NUM >= 190000
using Cluster = RepackStmt;
inline constexpr NodeTag cluster_tag = T_RepackStmt;
#else
using Cluster = ClusterStmt;
inline constexpr NodeTag cluster_tag = T_ClusterStmt;
#endif

// nullptr: all of the database's tables.
inline RangeVar *clustered_relation(const Cluster *statement)
{
#if PG_VERSION_NUM >= 190000
	return statement->relation != nullptr ? statement->relation->relation : nullptr;
#else
	return statement->relation;
#endif
}

// Without a relation: does it take the tables that were clustered before, or all of them?
inline bool takes_clustered_ones(const Cluster *statement)
{
#if PG_VERSION_NUM >= 190000
	return statement->command == REPACK_COMMAND_CLUSTER || statement->usingindex;
#else
	return true;
#endif
}

// The rows are copied while others write; the strong lock comes at the end and is short.
inline bool repacks_concurrently(const Cluster *statement)
{
#if PG_VERSION_NUM >= 190000
	return has_option(statement->params, "concurrently");
#else
	return false;
#endif
}

} // namespace safe_migrate::pg
