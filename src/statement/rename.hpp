// SET SCHEMA, and what renames share with it.
#pragma once
#include "pg/postgres.hpp"

#include "statement/analysis.hpp"

extern "C" {
#include "catalog/objectaddress.h"
}

namespace safe_migrate::statement {

void analyse_set_schema(Analysis *analysis, const AlterObjectSchemaStmt *statement);
void analyse_alter_owner(Analysis *analysis, const AlterOwnerStmt *statement);

// An object as RENAME and SET SCHEMA name it.
ObjectAddress find_named(ObjectType type, Node *name);

} // namespace safe_migrate::statement
