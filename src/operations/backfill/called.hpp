// What the expressions call: may the role that queues the job?
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "nodes/nodes.h"
}

namespace safe_migrate::operations::backfill {

// Error 42501 where the current user lacks EXECUTE on a function that `expression` calls, or what
// nextval() and its kin want on the sequence that they name: what the executor would find out
// later. Functions called by functions are not looked into.
void check_may_call(Node *expression);

} // namespace safe_migrate::operations::backfill
