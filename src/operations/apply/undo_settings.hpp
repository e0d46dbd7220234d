// What a statement sets that is one of several, as it is before.
#pragma once
#include "operations/apply/script.hpp"

extern "C" {
#include "utils/relcache.h"
}

namespace safe_migrate::operations::apply {

// The sub-command that sets it back: statistics targets, storage, options, CLUSTER ON, REPLICA
// IDENTITY, row-level security.  nullptr of any other.
char *setting_back(Relation relation, const AlterTableCmd *command);

// COMMENT ON a relation, a column or a constraint; nullptr of any other.
char *comment_back(const CommentStmt *comment);

} // namespace safe_migrate::operations::apply
