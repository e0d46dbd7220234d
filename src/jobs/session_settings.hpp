// Settings of the session that queued a job which say what its expressions, functions and
// triggers mean: a worker runs under the same ones.
#pragma once
#include "pg/postgres.hpp"

namespace safe_migrate::jobs {

// "name=value" of each, separated by settings_separator; palloc'd.
char *capture_session_settings();
// Sets them until the end of the transaction.  Values that this server does not take any more
// are left out.
void apply_session_settings(const char *captured);

constexpr char settings_separator = '\x01';

} // namespace safe_migrate::jobs
