// DROP, DROP OWNED, REASSIGN OWNED; objects by their names.
#pragma once
#include "pg/postgres.hpp"

#include "statement/analysis.hpp"

extern "C" {
#include "catalog/objectaddress.h"
}

namespace safe_migrate::statement {

// get_object_address(), whose locks are given back.
ObjectAddress find_object(ObjectType type, Node *name, bool missing_ok);

void analyse_drop_owned(Analysis *analysis, const DropOwnedStmt *statement);
void analyse_reassign_owned(Analysis *analysis, const ReassignOwnedStmt *statement);

} // namespace safe_migrate::statement
