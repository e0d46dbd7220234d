// See arguments.hpp.
#include "pg/arguments.hpp"

extern "C" {
#include "utils/builtins.h"
}

namespace safe_migrate::pg {

void refuse_null(FunctionCallInfo fcinfo, int n, const char *argument)
{
	if (PG_ARGISNULL(n))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("argument \"%s\" must not be NULL", argument)));
}

char *text_argument(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? nullptr : text_to_cstring(PG_GETARG_TEXT_PP(n));
}

} // namespace safe_migrate::pg
