// Filling the NULLs of one column as a step of another operation.
#pragma once
#include "operations/ddl/recipe.hpp"

namespace safe_migrate::operations::backfill {

// The plain way: UPDATE … SET column = (fill) WHERE column IS NULL.  `fill` is one expression and
// nothing else; errors of the parser show the position in it.
char *fill_statement(Oid relation, const char *column, const char *fill);

// Could a column that the table is to get be filled, by the current user?  Errors of open_target()
// and check_row_security().
void check_may_fill(Oid relation);

// Adds the "backfill" step that does the same in batches; checked as backfill() does for the
// current user.
void add_fill_step(ddl::Recipe *recipe, Oid relation, const char *column, const char *fill);

} // namespace safe_migrate::operations::backfill
