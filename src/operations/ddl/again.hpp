// What gives back an index or a constraint that is dropped.
#pragma once
#include "pg/postgres.hpp"

namespace safe_migrate::operations::ddl {

// SQL under any search_path, statements to be run one by one, told before it is dropped: with its
// name, options and tablespace, those of its partitions', with comments, statistics targets,
// CLUSTER ON and REPLICA IDENTITY.  Indexes are built concurrently, constraints validated without a
// strong lock.  nullptr where there is no such SQL.
char *index_again(Oid index);
char *constraint_again(Oid constraint);

} // namespace safe_migrate::operations::ddl
