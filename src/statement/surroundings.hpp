// What a statement meets that is neither a lock nor work: an invalid index under IF NOT EXISTS, a
// publication that a new column joins.
#pragma once
#include "pg/postgres.hpp"

#include "statement/analysis.hpp"

namespace safe_migrate::statement {

// Called by analyse_utility().
void analyse_surroundings(Analysis *analysis, const Node *statement);

} // namespace safe_migrate::statement
