// Arguments of the functions that SQL calls.
#pragma once
#include "pg/postgres.hpp"

namespace safe_migrate::pg {

// Error 22004 where the n-th argument (from 0), of that name, is NULL.  None of the functions is
// STRICT: a call that does nothing, as a gate that lets everything pass, must not look like one
// that worked.
void refuse_null(FunctionCallInfo fcinfo, int n, const char *argument);

// A text argument, palloc'd; nullptr where it is NULL.
char *text_argument(FunctionCallInfo fcinfo, int n);

} // namespace safe_migrate::pg
