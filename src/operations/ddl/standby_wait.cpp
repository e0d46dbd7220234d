// Before a strong lock: readers of standbys whose snapshots are older than it.  Replay of an
// AccessExclusiveLock waits for those that are there, and stops all that come after: so the old
// ones are let go first, with the patience there is for locks.
#include "operations/ddl/step_run.hpp"

#include "jobs/throttle/replicas.hpp"
#include "jobs/worker.hpp"
#include "pg/standby.hpp"

extern "C" {
#include "pgstat.h"
#include "storage/lockdefs.h"
#include "utils/timestamp.h"
}

namespace safe_migrate::operations::ddl {

using namespace jobs;

namespace {

// Not before each step and try: a standby tells of its snapshots every wal_receiver_status_interval
// only, 10 s by default.  For the same reason no patience is shorter than that.
constexpr int64 standbys_stay_seen_us = 60'000'000;
constexpr int64 least_patience_us = 12'000'000;
TimestampTz standbys_seen = 0; // when this worker's last wait for them ended

struct Standby {
	int walsender; // pid; 0: nobody is waited for
	char name[throttle::name_length];
};

// Those that stop no job are not waited for.
Standby find_standby(FullTransactionId now)
{
	pg::StandbySnapshot found[pg::most_standbys];
	int n = pg::standbys_with_snapshot_before(now, found);
	Standby standby = {};
	if (n == 0)
		return standby;
	(void)job_transaction([&] {
		pgstat_clear_snapshot();
		for (int i = 0; i < n && standby.walsender == 0; i++) {
			throttle::name_of_backend(found[i].walsender, standby.name);
			if (!throttle::is_ignored_replica(standby.name, found[i].slot))
				standby.walsender = found[i].walsender;
		}
	});
	return standby;
}

void give_up(StepContext *context, const Standby &standby)
{
	MemoryContext old = MemoryContextSwitchTo(context->memory);
	context->failure = job_transaction([&] {
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("old snapshots on standby \"%s\" did not end within %s", standby.name,
						format_setting(*find_setting("ddl_lock_retry"),
									   context->settings.ddl_lock_retry)),
				 errdetail("Replaying the ACCESS EXCLUSIVE lock there would stop its readers."),
				 errhint("End the transaction on the standby, or give the job more patience "
						 "(ddl_lock_retry); safe_migrate.retry() goes on where the job stopped. "
						 "Standbys in safe_migrate.replica_lag_ignore are not waited for.")));
	});
	context->gave_up = true;
	MemoryContextSwitchTo(old);
}

} // namespace

Go wait_for_standbys(StepRun *run)
{
	StepContext *context = run->context;
	TimestampTz began = GetCurrentTimestamp();
	if (run->strongest < AccessExclusiveLock ||
		(standbys_seen != 0 && began - standbys_seen < standbys_stay_seen_us))
		return Go::on;
	FullTransactionId now = pg::next_transaction_id();
	int64 patience =
		Max(static_cast<int64>(context->settings.ddl_lock_retry) * 1000, least_patience_us);
	bool told = false;
	for (;;) {
		Standby standby = find_standby(now);
		if (standby.walsender == 0)
			break;
		if (GetCurrentTimestamp() - began >= patience) {
			give_up(context, standby);
			return Go::stop;
		}
		char detail[sizeof standby.name + 40];
		snprintf(detail, sizeof detail, "standby \"%s\" holds an old snapshot", standby.name);
		context->begin_wait(Condition::horizon, detail, standby.walsender);
		if (!told)
			context->note_event("waiting for old snapshots", detail);
		told = true;
		context->wait_ms(100);
		if (context->next_batch(false) == Go::stop)
			return Go::stop;
	}
	if (told)
		context->end_wait();
	standbys_seen = GetCurrentTimestamp();
	return Go::on;
}

} // namespace safe_migrate::operations::ddl
