// What a table's indexes mean for a batch that is about to begin.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "utils/rel.h"
}

namespace safe_migrate::operations::backfill {

// What it costs to move a row out of its page, in visits of a page: mostly its index entries.
double cost_of_move(Relation leaf);

// Merges GIN pending lists that are half full into their indexes.  Whoever fills such a list
// has to merge it on the spot, which may take seconds: better before the batch holds a row.
void empty_pending_lists(Relation leaf);

} // namespace safe_migrate::operations::backfill
