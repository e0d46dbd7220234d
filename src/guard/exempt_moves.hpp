// Ways out of the guard: a table that goes where a policy exempts it.
#pragma once
#include "pg/postgres.hpp"

#include "statement/analysis.hpp"

namespace safe_migrate::guard {

// Adds what move-to-exempt is about, for a user who could not exempt the table by set_policy().
void add_exempt_moves(statement::Analysis *analysis);

} // namespace safe_migrate::guard
