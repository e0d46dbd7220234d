// Filling the NULLs of one column as a step of another operation.
#pragma once
#include "pg/postgres.hpp"

namespace safe_migrate::operations::backfill {

// One expression in `fill` and nothing else, as SQL text of an assignment: "column = (fill)".
// Errors of the parser show the position in the text.
char *fill_assignment(const char *column, const char *fill);

// The definition of a "backfill" step that sets the column where it is NULL; checked as backfill()
// does for the current user.
char *fill_step_definition(Oid relation, const char *column, const char *fill);

} // namespace safe_migrate::operations::backfill
