// Jobs that ended long ago.
#pragma once

namespace safe_migrate::jobs {

// Removes what is older than safe_migrate.job_history, unless that was done within the last hour.
// The scheduler calls it when it is awake anyhow; errors go to the server log.
void prune_history();

} // namespace safe_migrate::jobs
