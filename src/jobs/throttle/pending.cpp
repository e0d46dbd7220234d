// Stands in, weakly, for what lands next: the throttle query, stored definitions.
#include "jobs/throttle/query.hpp"
#include "operations/backfill/definition.hpp"

namespace safe_migrate::jobs::throttle {
__attribute__((weak)) Answer run_throttle_query(const char *, Oid, int, char **)
{
	return Answer::go;
}
} // namespace safe_migrate::jobs::throttle

namespace safe_migrate::operations::backfill {
__attribute__((weak)) Definition *from_json(const char *)
{
	elog(ERROR, "stored definitions can't be read yet");
}
} // namespace safe_migrate::operations::backfill
