// Keeps volatile functions from being called for a while: what they do beyond the transaction
// (dblink, nextval(), pg_advisory_lock() …) is not undone with it.
#pragma once
#include "pg/postgres.hpp"

namespace safe_migrate::pg {

// From _PG_init: chains object_access_hook.
void watch_volatile_functions();

// From now on each call, also from within other functions, ends with an error of SQLSTATE XX000
// before it begins.  Not those of triggers themselves, which the server asks nobody about.
void refuse_volatile_functions();
void allow_volatile_functions();

} // namespace safe_migrate::pg
