// Does a written row leave the predicate?
#pragma once
#include "operations/backfill/validate.hpp"

extern "C" {
#include "nodes/pg_list.h"
}

namespace safe_migrate::operations::backfill {

// Error 22023 where no written row can: the predicate does not depend on an assigned column
// (`assigned`), or what is assigned (a list of TargetEntry) makes each part of it that does true.
// Only built-in functions are run to find out; where a BEFORE trigger may have a say
// (`fire_triggers`), the second is left to the job.
void check_falsifiable(const Target &target, Node *predicate, List *entries,
					   const Bitmapset *assigned, bool fire_triggers);

} // namespace safe_migrate::operations::backfill
