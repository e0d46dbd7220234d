// What loses data or breaks clients is judged when it is queued: the worker's statements are not.
// Who judges is nothing that operations know: extension.cpp hands it down.
#pragma once
#include "pg/postgres.hpp"

namespace safe_migrate::operations::ddl {

// Asked with SQL statements: error where they are not let pass; the reason where somebody has
// overridden that, else nullptr.
using Permission = const char *(*)(const char *sql);
void use_permission(Permission permission); // from _PG_init

const char *ask_permission(const char *sql);

} // namespace safe_migrate::operations::ddl
