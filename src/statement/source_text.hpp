// Parts of the statement as the user wrote them, for messages and for the safe functions.
#pragma once
#include "pg/postgres.hpp"

#include "statement/analysis.hpp"

namespace safe_migrate::statement {

// A sub-command's text from the location to the comma (or the end of the statement) that ends it,
// palloc'd.  nullptr where there is no source or no location.
const char *subcommand_text(const Analysis *analysis, int location);

} // namespace safe_migrate::statement
