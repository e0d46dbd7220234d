// Claims: one owner per job (its leading worker) and one per slice, as heavyweight locks of the
// session that job code can't release (they are no advisory locks).  The server drops a
// session's locks when a transaction aborts, so a claim is taken again after each abort; whoever
// does not get it back stops.
#pragma once
#include "jobs/job.hpp"
#include "pg/postgres.hpp"

namespace safe_migrate::jobs {

// False where another session has it.  In a transaction; kept beyond it.
bool claim_job(JobId id);
bool claim_slice(JobId id, int step_no, int slice_no);
void release_slice(JobId id, int step_no, int slice_no);

} // namespace safe_migrate::jobs
