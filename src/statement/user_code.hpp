// Would folding the constants of an expression call a function that a user wrote?
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "nodes/nodes.h"
}

namespace safe_migrate::statement {

// True where eval_const_expressions() might: a function of the users' that has no column among its
// arguments, or one in SQL, which is inlined.  nullptr: false.
bool may_run_user_code(Node *expression);

} // namespace safe_migrate::statement
