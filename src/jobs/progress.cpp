// live_jobs(): shared memory's view of this database's jobs that the caller may see, as rows for
// the view progress.
#include "jobs/progress_meter.hpp"
#include "jobs/rights.hpp"
#include "jobs/shared.hpp"
#include "pg/boundary.hpp"
#include "pg/result_row.hpp"
#include "pg/sql.hpp"

extern "C" {
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/timestamp.h"
}

namespace safe_migrate::jobs {

namespace {

void put_live_job(ReturnSetInfo *result, const LiveJob &live, const int *pids, int n_pids)
{
	pg::ResultRow<18> row = {};
	Meter meter = meter_of(live);
	row.add(Int64GetDatum(live.id));
	row.add_text(live.phase);
	row.add_text(live.condition == Condition::none && live.state != JobState::running
					 ? nullptr
					 : name_of(live.condition));
	row.add_text(live.detail);
	if (live.waiting_for_pid != 0)
		row.add(Int32GetDatum(live.waiting_for_pid));
	else
		row.add_null();
	row.add(Int32GetDatum(live.step_no));
	row.add(Int32GetDatum(live.pass));
	row.add_known(fraction_of(meter));
	row.add(Int64GetDatum(live.rows_written));
	row.add(Int64GetDatum(live.units_done));
	row.add(Int64GetDatum(live.units_total));
	row.add_known(live.rates.rows);
	row.add_known(eta_of(meter));
	row.add(BoolGetDatum(live.condition == Condition::throttled));
	row.add_known(live.replica_lag_us < 0 ? -1.0 : static_cast<double>(live.replica_lag_us) / 1e6);
	auto *elements = static_cast<Datum *>(palloc(sizeof(Datum) * Max(n_pids, 1)));
	for (int i = 0; i < n_pids; i++)
		elements[i] = Int32GetDatum(pids[i]);
	row.add(PointerGetDatum(
		construct_array(elements, n_pids, INT4OID, sizeof(int32), true, TYPALIGN_INT)));
	row.add(TimestampTzGetDatum(live.changed));
	row.add_text(live.readings);
	row.put(result);
}

} // namespace
} // namespace safe_migrate::jobs

SAFE_MIGRATE_FUNCTION(safe_migrate_live_jobs)
{
	using namespace safe_migrate::jobs;
	InitMaterializedSRF(fcinfo, 0);
	auto *result = reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo);
	if (!shared)
		PG_RETURN_NULL();

	auto *jobs = static_cast<LiveJob *>(palloc(sizeof shared->jobs));
	auto *workers = static_cast<LiveWorker *>(palloc(sizeof shared->workers));
	{
		Guard guard(LW_SHARED);
		memcpy(static_cast<void *>(jobs), shared->jobs, sizeof shared->jobs);
		memcpy(static_cast<void *>(workers), shared->workers, sizeof shared->workers);
	}
	Home home = {MyDatabaseId, safe_migrate::pg::extension_oid()};
	for (int i = 0; i < max_live_jobs; i++) {
		if (!(jobs[i].home == home) || !may_see(jobs[i].owner))
			continue;
		int pids[max_live_workers];
		int n = 0;
		for (int w = 0; w < max_live_workers; w++)
			if (workers[w].used && workers[w].pid != 0 && workers[w].home == home &&
				workers[w].job == jobs[i].id)
				pids[n++] = workers[w].pid;
		put_live_job(result, jobs[i], pids, n);
	}
	PG_RETURN_NULL();
}

// The condition of a job that no scheduler can look at, or none has looked at.
SAFE_MIGRATE_FUNCTION(safe_migrate_start_condition)
{
	using namespace safe_migrate::jobs;
	Condition condition = Condition::starting;
	if (!shared)
		PG_RETURN_NULL();
	{
		Guard guard(LW_SHARED);
		Database *entry = find_database(MyDatabaseId, false);
		if (entry && entry->scheduler_pid == 0)
			condition = entry->no_slot		  ? Condition::no_worker_slot
						: entry->failures > 0 ? Condition::no_connection
											  : Condition::starting;
	}
	PG_RETURN_TEXT_P(cstring_to_text(name_of(condition)));
}
