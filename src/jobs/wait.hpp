// Procedures that commit, and then wait for a job.
#pragma once
#include "jobs/job.hpp"
#include "pg/postgres.hpp"

namespace safe_migrate::jobs {

// The body of such a procedure: `find` gives the job (it may queue one), which is then waited for
// after a commit, with progress lines; its own error is raised where it failed.  25001 in a
// transaction block; 22004 where the first argument, of that name, is NULL.
void commit_and_wait(FunctionCallInfo fcinfo, const char *argument, int timeout_argument,
					 JobId (*find)(FunctionCallInfo));

} // namespace safe_migrate::jobs
