// What a running step tells the world: progress, phase, condition, events.  See step_context.hpp.
#include "jobs/shared.hpp"
#include "jobs/step_context.hpp"
#include "jobs/store.hpp"
#include "jobs/worker.hpp"
#include "pg/sql.hpp"

extern "C" {
#include "pgstat.h"
#include "utils/timestamp.h"
}

namespace safe_migrate::jobs {

namespace {

template <class F> void with_live_job(F &&change)
{
	Guard guard;
	if (LiveJob *live = live_job_at_work(worker.home, worker.job_id))
		change(*live);
}

} // namespace

void StepContext::start_units(int64 units_total, int pass)
{
	with_live_job([&](LiveJob &live) {
		live.units_done = 0;
		live.units_total = units_total;
		live.pass = pass;
		forget_rates(&live.rates);
	});
}

void StepContext::report(const BatchLog &log)
{
	TimestampTz now = GetCurrentTimestamp();
	with_live_job([&](LiveJob &live) {
		live.rows_written += log.rows_written;
		live.rows_seen += log.rows_seen;
		live.units_done += log.units_done;
		live.units_total += log.units_total;
		live.start_failures = 0;
		live.changed = now;
		measure_rates(&live.rates, now, live.rows_written, live.units_done);
	});
}

void StepContext::begin_rates()
{
	with_live_job([](LiveJob &live) { skip_pause(&live.rates); });
}

void StepContext::set_phase(const char *phase)
{
	with_live_job([&](LiveJob &live) { set_text(live.phase, sizeof live.phase, phase); });
	char activity[96];
	snprintf(activity, sizeof activity, "job " INT64_FORMAT ": %s", job_id, phase);
	worker.activity = MemoryContextStrdup(memory, activity);
	pgstat_report_activity(STATE_RUNNING, activity);
}

bool StepContext::set_condition(Condition condition, const char *detail, int32 waiting_for_pid)
{
	bool news = false;
	with_live_job([&](LiveJob &live) {
		news = live.condition != condition;
		live.condition = condition;
		live.waiting_for_pid = waiting_for_pid;
		set_text(live.detail, sizeof live.detail, detail);
	});
	return news;
}

void StepContext::begin_wait(Condition condition, const char *detail, int32 waiting_for_pid)
{
	waits.condition = condition;
	set_text(waits.detail, sizeof waits.detail, detail);
	waits.pid = waiting_for_pid;
	(void)set_condition(condition, detail, waiting_for_pid);
}

void StepContext::end_wait()
{
	if (waits.condition == Condition::none)
		return;
	waits = {};
	(void)set_condition(Condition::none, nullptr);
}

void StepContext::note_event(const char *kind, const char *detail)
{
	forget(job_transaction([&] {
		if (extension_is_there())
			add_event(job_id, kind, InvalidOid, detail);
	}));
	if (strcmp(kind, "notice") == 0)
		with_live_job([](LiveJob &live) { live.notices++; });
}

void StepContext::want_workers(int n)
{
	bool changed = false;
	with_live_job([&](LiveJob &live) {
		changed = live.workers_wanted != n;
		live.workers_wanted = n;
	});
	if (changed)
		wake_scheduler(worker.home.database);
}

} // namespace safe_migrate::jobs
