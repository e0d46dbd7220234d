// See time_limit.hpp.  By the server's own timeout for statements, which is set again afterwards.
#include "pg/time_limit.hpp"

extern "C" {
#include "miscadmin.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"
}

namespace safe_migrate::pg {

void begin_limit(TimeLimit *limit, int ms)
{
	if (limit->end != 0)
		return;
	limit->end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ms);
	limit->other =
		get_timeout_active(STATEMENT_TIMEOUT) ? get_timeout_finish_time(STATEMENT_TIMEOUT) : 0;
	if (limit->other == 0 || limit->end < limit->other)
		enable_timeout_at(STATEMENT_TIMEOUT, limit->end);
}

bool end_limit(TimeLimit *limit)
{
	if (limit->end == 0 || (limit->other != 0 && limit->other <= limit->end))
		return false;
	bool over = GetCurrentTimestamp() >= limit->end;
	disable_timeout(STATEMENT_TIMEOUT, true);
	if (get_timeout_indicator(STATEMENT_TIMEOUT, true))
		QueryCancelPending = false; // it came when the work was done already
	if (limit->other != 0)
		enable_timeout_at(STATEMENT_TIMEOUT, limit->other);
	*limit = {};
	return over;
}

} // namespace safe_migrate::pg
