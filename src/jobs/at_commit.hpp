// What a transaction that queued or changed jobs does when it has committed: wake those
// who have to look.  A rollback wakes nobody.
#pragma once
#include "jobs/job.hpp"

namespace safe_migrate::jobs {

void install_at_commit(); // from _PG_init
void wake_at_commit(JobId id);

} // namespace safe_migrate::jobs
