// Keeps the job engine out of databases that are being dropped, renamed, moved or copied.
#pragma once
#include "pg/postgres.hpp"

namespace safe_migrate::jobs {

void install_database_lifecycle(); // from _PG_init
bool database_is_barred(Oid database);

} // namespace safe_migrate::jobs
