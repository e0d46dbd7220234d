// The snapshot that a portal takes for its utility statement, and that CREATE INDEX CONCURRENTLY
// and its kin wait for.
#pragma once
#include "pg/postgres.hpp"

namespace safe_migrate::pg {

// Gives it back, if nothing else needs it: not with REPEATABLE READ, nor inside of functions. True:
// take_portal_snapshot() is to take another one before the statement goes on (an error may come
// between).
bool give_back_portal_snapshot();
void take_portal_snapshot();

// Nor is one kept for looks at the catalog.
void give_back_catalog_snapshot();

} // namespace safe_migrate::pg
