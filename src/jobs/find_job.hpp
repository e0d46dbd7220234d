// Jobs as people name them, and their progress in words.
#pragma once
#include "jobs/job.hpp"
#include "pg/postgres.hpp"

namespace safe_migrate::jobs {

constexpr int max_workers_per_job = 32;

struct JobRow;
struct LiveJob;

// The job, where the caller may see it: else error 42704, whether it exists or not.
JobRow *job_or_error(JobId id);

// Whose jobs a name may mean.
enum class Named : uint8_t {
	visible, // of whoever lets the caller see them
	trusted	 // of the caller and of roles that it is a member of: a superuser is of none by itself
};

// The caller's own job of that name, else the one such job: where there are several, the one whose
// state fits.  Error 42704 when there is none, 42725 when it has to be said which.
JobId job_by_name(const char *name, Named named, bool (*fits)(JobState) = nullptr);
inline bool is_under_way(JobState state) { return !is_final(state); }

// "41.7 % of 3,000,000 rows …": one line a person likes to read, palloc'd.
char *describe_progress(JobId id, const LiveJob &live);

} // namespace safe_migrate::jobs
