// See writer_watch.hpp.
#include "jobs/writer_watch.hpp"

#include "pg/pure.hpp"

namespace safe_migrate::jobs {

namespace {

constexpr int64_t interval_us = 500'000;
constexpr int64_t first_interval_us = 100'000; // soon, as clients are already there
constexpr int64_t few = 5; // an interval: bookkeeping of the jobs themselves, autovacuum, …

} // namespace

bool WriterWatch::others_write(int64_t now_us, uint64_t ids, uint64_t own, int workers)
{
	if (since_us != 0 && now_us - since_us < (knows ? interval_us : first_interval_us))
		return found;
	if (since_us != 0) {
		auto others = static_cast<int64_t>(ids - ids_then) - static_cast<int64_t>(own - own_then);
		found = others > few * (now_us - since_us) / interval_us + workers;
		knows = true;
	}
	since_us = now_us;
	ids_then = ids;
	own_then = own;
	return found;
}

} // namespace safe_migrate::jobs
