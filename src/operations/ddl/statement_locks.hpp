// The locks that a statement will take, asked of statement/.
#pragma once
#include "operations/ddl/recipe.hpp"

namespace safe_migrate::operations::ddl {

// Adds the lock on each relation that the statement locks, in the order in which it is found.
void add_statement_locks(RecipeStep *step, const char *sql);

} // namespace safe_migrate::operations::ddl
