// What the server's parse analysis would refuse of a sub-command of ALTER TABLE, found out when it
// is queued.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "nodes/parsenodes.h"
#include "utils/relcache.h"
}

namespace safe_migrate::operations::ddl {

// The errors of transformAlterTableStmt(), for a command as the parser left it in `source`: columns
// of a key that don't exist or occur twice, an index that can't become a constraint, what
// contradicts itself.  Changes nothing; the relation is open.
void check_by_parse_analysis(Relation relation, const AlterTableCmd *command, const char *source);

} // namespace safe_migrate::operations::ddl
