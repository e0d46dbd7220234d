// Settings that code changes for a while; what the user set comes back by itself.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "utils/guc.h"
}

namespace safe_migrate::pg {

// To the end of the transaction or subtransaction, as SET LOCAL.  Errors as SET's.
inline void set_local(const char *name, const char *value, GucContext context = PGC_USERSET)
{
	(void)set_config_option(name, value, context, PGC_S_SESSION, GUC_ACTION_LOCAL, true, ERROR,
							false);
}

inline void set_local_ms(const char *name, int64 ms, GucContext context = PGC_USERSET)
{
	char value[32];
	snprintf(value, sizeof value, INT64_FORMAT "ms", ms);
	set_local(name, value, context);
}

// Until the nest level is left that was entered last (NewGUCNestLevel(), AtEOXact_GUC()), as a
// function's SET clause.
inline void set_in_level(const char *name, const char *value, GucContext context = PGC_USERSET)
{
	(void)set_config_option(name, value, context, PGC_S_SESSION, GUC_ACTION_SAVE, true, ERROR,
							false);
}

// Where the server would refuse it, nothing is set or raised.
inline void try_in_level(const char *name, const char *value, GucContext context)
{
	(void)set_config_option(name, value, context, PGC_S_SESSION, GUC_ACTION_SAVE, true, DEBUG5,
							false);
}

inline void set_in_level_ms(const char *name, int64 ms, GucContext context = PGC_USERSET)
{
	char value[32];
	snprintf(value, sizeof value, INT64_FORMAT "ms", ms);
	set_in_level(name, value, context);
}

} // namespace safe_migrate::pg
