// What differs between PostgreSQL 15, 16, 17 and 18, each as one small function with the newest
// server's name in snake_case.  Version #ifs stand here and nowhere else outside src/pg/.
#pragma once
#include "pg/postgres.hpp"

namespace safe_migrate::pg {
} // namespace safe_migrate::pg
