// See surroundings.cpp.
#pragma once
#include "pg/postgres.hpp"

#include "statement/analysis.hpp"

namespace safe_migrate::statement {

// Called by analyse_utility().
void analyse_surroundings(Analysis *analysis, const Node *statement);

} // namespace safe_migrate::statement
