// Columns whose ADD this extension saw less than seven days ago: they may be dropped again, since
// a migration that is taken back is no loss.
#pragma once
#include "pg/postgres.hpp"

#include "statement/effects.hpp"

namespace safe_migrate::guard {

bool is_recent_column(const statement::Finding &finding); // the drop of one

// Writes down the columns that the statement added, in its own transaction.
void note_recent_columns();

void install_recent_columns(); // from _PG_init

} // namespace safe_migrate::guard
