// What loses data or breaks clients is judged when it is queued: the worker's statements are not;
// but as long as others their locks may be held while somebody waits.  Who judges is nothing that
// operations know: extension.cpp hands it down.
#pragma once
#include "pg/postgres.hpp"

namespace safe_migrate::operations::ddl {

// Asked with SQL statements: error where they are not let pass; the reason where somebody has
// overridden that, else nullptr.
using Permission = const char *(*)(const char *sql);
void use_permission(Permission permission); // from _PG_init

const char *ask_permission(const char *sql);

// Nobody waits for longer than the limit behind this lock, which a step has taken, to the end of
// its transaction: else error 57014.  The limit in ms, 0 = none.
using HoldLimit = int (*)(Oid relation, int mode);
void use_hold_limit(HoldLimit limit); // from _PG_init

int limit_hold(Oid relation, int mode);

} // namespace safe_migrate::operations::ddl
