// See step_throttle.hpp.
#include "jobs/step_throttle.hpp"

#include "jobs/shared.hpp"
#include "jobs/throttle/query.hpp"
#include "jobs/throttle/signals.hpp"
#include "jobs/throttle/throttle.hpp"
#include "jobs/worker.hpp"

extern "C" {
#include "utils/timestamp.h"
}

namespace safe_migrate::jobs {

namespace {

constexpr int64 query_every_us = 1'000'000;

struct ThrottleView {
	throttle::State state;
	TimestampTz query_at;
	int query_says;
	char query_error[sizeof(throttle::Readings::query_error)];
	bool throttled;
	int lock_waiters; // behind the last batch
	throttle::WriteRateState writes;
	int64 shown_at;
};
ThrottleView view;

// The job's own throttle query, asked about once a second.
void ask_query(StepContext *context, TimestampTz now)
{
	if (!context->settings.throttle_query ||
		(view.query_at != 0 && now - view.query_at < query_every_us))
		return;
	char *message = nullptr;
	throttle::Answer answer =
		throttle::run_throttle_query(context->settings.throttle_query, worker.owner,
									 context->settings.throttle_query_timeout, &message);
	view.query_at = GetCurrentTimestamp();
	view.query_says = static_cast<int>(answer);
	view.query_error[0] = '\0';
	if (message) {
		strlcpy(view.query_error, message, sizeof view.query_error);
		pfree(message);
	}
}

int64 own_rows()
{
	Guard guard(LW_SHARED);
	LiveJob *live = find_live_job(worker.home, worker.job_id, false);
	return live ? live->rows_written : 0;
}

// The readings as they are now, for progress: once a sample.
void show_readings(const throttle::Readings &readings, const throttle::Limits &limits)
{
	if (readings.sampled_at_us == view.shown_at)
		return;
	view.shown_at = readings.sampled_at_us;
	char text[sizeof(LiveJob::readings)];
	throttle::describe_readings(readings, limits, text, sizeof text);
	int64 lag = throttle::worst_replica_lag_us(readings);
	Guard guard;
	LiveJob *live = find_live_job(worker.home, worker.job_id, false);
	if (!live)
		return;
	set_text(live->readings, sizeof live->readings, text);
	live->replica_lag_us = lag;
}

void sample_named_horizon(throttle::Readings *readings)
{
	throttle::sample_horizon(readings);
	if (readings->horizon_prepared != 0)
		throttle::name_prepared_holder(readings->horizon_prepared, readings->horizon_holder);
}

throttle::Verdict ask_throttle(StepContext *context)
{
	throttle::Readings readings;
	{
		Guard guard(LW_SHARED);
		readings = shared->readings;
	}
	TimestampTz now = GetCurrentTimestamp();
	ask_query(context, now);
	readings.query_says_stop = view.query_says;
	strlcpy(readings.query_error, view.query_error, sizeof readings.query_error);
	readings.lock_waiters = view.lock_waiters;
	view.lock_waiters = 0; // the batch that they waited for has ended
	readings.table_writes_per_second = -1;
	if (context->settings.max_table_write_rate > 0 && context->n_leaves > 0)
		readings.table_writes_per_second = throttle::table_writes_per_second(
			&view.writes, context->leaves, context->n_leaves, own_rows());
	throttle::Limits limits = throttle_limits(context->settings);
	if (limits.horizon_age != throttle::no_limit)
		sample_named_horizon(&readings);
	show_readings(readings, limits);
	return throttle::judge(readings, limits, view.state, now);
}

// A limit that is passed again and again: one event a minute, with how often it was meanwhile.
constexpr int64 note_every_us = 60'000'000;
constexpr int64 note_other_us = 10'000'000; // where it is another one than last time

bool is_note_due(ThrottleNotes *notes, const throttle::Verdict &verdict, bool begins,
				 TimestampTz now)
{
	if (notes->open)
		return false; // another worker of the job's was stopped first
	int64 pause_us = notes->signal == verdict.signal ? note_every_us : note_other_us;
	if (notes->at == 0 || now - notes->at >= pause_us)
		return true;
	if (!begins)
		return false;
	notes->since++;
	set_text(notes->last, sizeof notes->last, verdict.reason);
	return false;
}

// Also of one that began when no note was due, and lasts.
void note_throttled(StepContext *context, const throttle::Verdict &verdict, bool begins)
{
	TimestampTz now = GetCurrentTimestamp();
	int since = 0;
	{
		Guard guard;
		LiveJob *live = live_job_at_work(worker.home, worker.job_id);
		if (!live || !is_note_due(&live->throttle, verdict, begins, now))
			return;
		since = live->throttle.since;
		if (!begins && since > 0)
			since--; // itself
		live->throttle = {verdict.signal, now, true, 0, {}};
	}
	char detail[sizeof verdict.reason + 60];
	snprintf(detail, sizeof detail, since > 0 ? "%s (and %d times since the last event)" : "%s",
			 verdict.reason, since);
	context->note_event("throttled", detail);
}

void note_throttle_ended(StepContext *context)
{
	{
		Guard guard;
		LiveJob *live = live_job_at_work(worker.home, worker.job_id);
		if (!live || !live->throttle.open)
			return;
		live->throttle.open = false;
	}
	context->note_event("throttle ended", nullptr);
}

} // namespace

void begin_throttle() { view = ThrottleView{}; }

bool is_throttled(StepContext *context)
{
	throttle::Verdict verdict = ask_throttle(context);
	if (verdict.stop) {
		(void)context->set_condition(Condition::throttled, verdict.reason);
		note_throttled(context, verdict, !view.throttled);
	} else if (view.throttled)
		note_throttle_ended(context);
	view.throttled = verdict.stop;
	return verdict.stop;
}

void end_throttle(StepContext *context)
{
	ThrottleNotes notes = {};
	{
		Guard guard;
		LiveJob *live = find_live_job(worker.home, worker.job_id, false);
		if (!live || worker.number != 0)
			return;
		notes = live->throttle;
		live->throttle = {};
	}
	if (notes.open)
		context->note_event("throttle ended", nullptr);
	if (notes.since > 0)
		context->note_event("throttle ended",
							psprintf("%d times since the last event: %s", notes.since, notes.last));
}

void count_lock_waiters(const StepContext &context)
{
	if (context.settings.max_lock_waiters >= 0)
		view.lock_waiters = throttle::lock_waiters_behind(MyProcPid);
}

} // namespace safe_migrate::jobs
