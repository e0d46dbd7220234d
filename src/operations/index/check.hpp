// What the server would refuse of an index, found out when it is queued and not by the worker that
// builds it.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "nodes/parsenodes.h"
#include "utils/relcache.h"
}

namespace safe_migrate::operations::index {

// The errors of DefineIndex(), in its order and its words, without its locks: `statement` is what
// transformIndexStmt() made of it for the open relation.  Runs nothing that users have written.
void check_index(Relation relation, const IndexStmt *statement);

// The same for the index of a key on a column of that type that the relation is to get; tablespace
// may be nullptr.
void check_index_of_new_column(Relation relation, Oid type, List *options, char *tablespace);

} // namespace safe_migrate::operations::index
