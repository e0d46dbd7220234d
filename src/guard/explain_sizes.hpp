// Sizes that explain() is given: those of another database, as export_sizes() wrote them there.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "utils/hsearch.h"
#include "utils/jsonb.h"
}

namespace safe_migrate::guard {

// By the name of the table; 22023 where they are not what export_sizes() writes.
HTAB *read_sizes(Jsonb *json);

// From now on, nullptr: those of this database again.  A relation that they don't name has its size
// here.  What runs in between must not leave by an error.
void take_sizes_from(HTAB *sizes);

} // namespace safe_migrate::guard
