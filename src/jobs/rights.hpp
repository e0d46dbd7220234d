// Who may queue, see and stop jobs: as docs/jobs.md ("Control") and docs/backfill.md ("Rights")
// say.
#pragma once
#include "jobs/job.hpp"
#include "pg/postgres.hpp"

namespace safe_migrate::jobs {

struct JobRow;

// The caller may have a job run under its role: errors 42501 where no worker could connect for it.
void check_may_queue();
bool may_see(Oid owner);
bool may_control(Oid owner);
void check_may_control(const JobRow *job); // error 42501
// For what begins work again or brings code into it, which is run as the owner: the owner's rights
// are needed, to stop others' sessions is not enough.  Error 42501.
void check_may_act_for_owner(const JobRow *job);

// Such a job is paused, for reassign().
bool owner_is_gone(const JobRow &job);

// The role a worker connects as for this owner, InvalidOid where it can't: why says so.
Oid connect_role(Oid owner, Oid session_role, const char **why);

} // namespace safe_migrate::jobs
