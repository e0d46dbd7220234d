// See history.hpp.  Rows that somebody else's transaction holds are left for the next time.
#include "jobs/history.hpp"

#include "pg/guc.hpp"
#include "pg/sql.hpp"
#include "pg/transaction.hpp"
#include "settings.hpp"

extern "C" {
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/timestamp.h"
}

namespace safe_migrate::jobs {

namespace {

using pg::Arg;

constexpr int between_ms = 60 * 60 * 1000;
constexpr uint64 at_once = 1000; // jobs in one transaction; the statements' LIMIT

TimestampTz last_pruned = 0;

void wait_for_nobody() { pg::set_local("lock_timeout", "100ms"); }

// Steps, slices and events go with a job.  One that failed, or was cancelled under a name, can be
// queued again: it stays twice as long.
uint64 delete_jobs(const Arg (&age)[1])
{
	return pg::execute("DELETE FROM safe_migrate.job WHERE id IN (SELECT id FROM safe_migrate.job"
					   " WHERE finished_at < pg_catalog.clock_timestamp() - $1"
					   " AND (state IN ('succeeded', 'cancelled') AND name IS NULL"
					   "  OR state IN ('failed', 'cancelled')"
					   "   AND finished_at < pg_catalog.clock_timestamp() - 2 * $1)"
					   " LIMIT 1000 FOR UPDATE SKIP LOCKED)",
					   age);
}

// A migration that is run again has to find the job by its name, and its steps say what they
// wrote; the rest of it goes.
uint64 thin_jobs(const Arg (&age)[1])
{
	return pg::execute(
		"WITH old AS MATERIALIZED (SELECT id FROM safe_migrate.job j"
		"  WHERE state = 'succeeded' AND name IS NOT NULL"
		"  AND finished_at < pg_catalog.clock_timestamp() - $1"
		"  AND (EXISTS (SELECT FROM safe_migrate.event e WHERE e.job_id = j.id)"
		"   OR EXISTS (SELECT FROM safe_migrate.slice l WHERE l.job_id = j.id))"
		"  LIMIT 1000 FOR NO KEY UPDATE SKIP LOCKED),"
		" slices AS (DELETE FROM safe_migrate.slice l USING old WHERE l.job_id = old.id"
		"  RETURNING l.job_id, l.step_no, l.rows_written),"
		" sums AS (SELECT job_id, step_no, sum(rows_written)::bigint AS rows_written"
		"  FROM slices GROUP BY job_id, step_no),"
		" steps AS (UPDATE safe_migrate.step s SET rows_written = s.rows_written + t.rows_written"
		"  FROM sums t WHERE s.job_id = t.job_id AND s.step_no = t.step_no),"
		" events AS (DELETE FROM safe_migrate.event e USING old WHERE e.job_id = old.id)"
		" SELECT id FROM old",
		age);
}

// Returns whether there may be more.
bool prune_some()
{
	bool more = false;
	ErrorData *error = pg::run_transaction(
		[&more] {
			if (!OidIsValid(pg::extension_oid()))
				return;
			wait_for_nobody();
			const Arg age[] = {pg::arg_interval_us(settings::job_history * USECS_PER_MINUTE)};
			uint64 deleted = delete_jobs(age);
			uint64 thinned = thin_jobs(age);
			more = deleted >= at_once || thinned >= at_once;
		},
		LOG);
	if (error)
		FreeErrorData(error);
	return more && !error;
}

} // namespace

void prune_history()
{
	TimestampTz now = GetCurrentTimestamp();
	if (settings::job_history == 0 ||
		(last_pruned != 0 && !TimestampDifferenceExceeds(last_pruned, now, between_ms)))
		return;
	last_pruned = now;
	while (prune_some())
		CHECK_FOR_INTERRUPTS();
}

} // namespace safe_migrate::jobs
