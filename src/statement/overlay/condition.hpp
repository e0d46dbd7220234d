// What the condition of an UPDATE or DELETE tells without being planned: among the overlay's own
// files.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "nodes/parsenodes.h"
}

namespace safe_migrate::statement::overlay {

// Of the SELECT of the rows, its target in the first place: is there a part of its WHERE, beside
// others or alone, that compares a column with something else, which no planner can make go away?
// False: it can't be told.
bool compares_column(const Query *query);

} // namespace safe_migrate::statement::overlay
