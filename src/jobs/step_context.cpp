// Between the batches of a step: control, pauses, throttle, progress.  See step_context.hpp.
#include "jobs/step_context.hpp"

#include "jobs/claim.hpp"
#include "jobs/operation.hpp"
#include "jobs/session_settings.hpp"
#include "jobs/shared.hpp"
#include "jobs/state.hpp"
#include "jobs/store.hpp"
#include "jobs/throttle/query.hpp"
#include "jobs/throttle/signals.hpp"
#include "jobs/throttle/throttle.hpp"
#include "jobs/worker.hpp"
#include "jobs/writer_watch.hpp"
#include "pg/compat.hpp"
#include "pg/horizon.hpp"
#include "pg/sql.hpp"

extern "C" {
#include "access/transam.h"
#include "access/xact.h"
#include "commands/trigger.h"
#include "common/pg_prng.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
}

namespace safe_migrate::jobs {

namespace {

constexpr long throttle_poll_ms = 100;
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
WriterWatch writer_watch;
char *job_settings_text = nullptr; // in TopMemoryContext

void reload_settings(StepContext *context)
{
	context->settings = effective_settings(job_settings_text);
}

// The row as somebody's pause(), cancel() or configure() left it.
Go obey_control(StepContext *context)
{
	uint32 control = 0;
	{
		Guard guard(LW_SHARED);
		LiveJob *live = find_live_job(worker.database, worker.job_id, false);
		if (live)
			control = live->control;
		else
			worker.control_known = false; // no place to be told: the row is read each time
	}
	if (worker.control_known && control == worker.control_seen)
		return Go::on;
	Go go = Go::stop;
	int workers = context->workers;
	ErrorData *error = job_transaction([&] {
		JobRow *job = OidIsValid(pg::extension_oid()) ? load_job(worker.job_id, false) : nullptr;
		if (!job || job->state != JobState::running)
			return;
		context->workers = job->workers;
		if (context->worker_number > 0 && context->worker_number >= job->workers)
			return; // one too many by now
		go = Go::on;
		if (job_settings_text)
			pfree(job_settings_text);
		job_settings_text = MemoryContextStrdup(TopMemoryContext, job->settings);
	});
	if (error) {
		elog(LOG, "job " INT64_FORMAT ": %s", worker.job_id, error->message);
		context->trouble = true;
		return Go::stop;
	}
	reload_settings(context);
	worker.control_seen = control;
	worker.control_known = true;
	if (context->takes_helpers && context->workers != workers)
		context->want_workers(context->workers);
	return go;
}

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
	LiveJob *live = find_live_job(worker.database, worker.job_id, false);
	return live ? live->rows_written : 0;
}

// The slowest replica that counts, for progress.
void show_replica_lag(const throttle::Readings &readings)
{
	int64 worst = -1;
	for (int i = 0; i < readings.n_replicas; i++)
		if (readings.replicas[i].kind != throttle::ReplicaKind::inactive_slot &&
			!readings.replicas[i].ignored)
			worst = Max(worst, readings.replicas[i].lag_us);
	Guard guard;
	if (LiveJob *live = find_live_job(worker.database, worker.job_id, false))
		live->replica_lag_us = worst;
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
	LiveJob *live = find_live_job(worker.database, worker.job_id, false);
	if (!live)
		return;
	set_text(live->readings, sizeof live->readings, text);
	live->replica_lag_us = lag;
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
	show_replica_lag(readings);
	throttle::Limits limits = throttle_limits(context->settings);
	if (limits.horizon_age != throttle::no_limit)
		throttle::sample_horizon(&readings);
	show_readings(readings, limits);
	return throttle::judge(readings, limits, view.state, now);
}

// True while a throttle signal is over its limit.
bool throttled(StepContext *context)
{
	throttle::Verdict verdict = ask_throttle(context);
	if (verdict.stop) {
		(void)context->set_condition(Condition::throttled, verdict.reason);
		if (!view.throttled)
			context->note_event("throttled", verdict.reason);
	} else if (view.throttled)
		context->note_event("throttle ended", nullptr);
	view.throttled = verdict.stop;
	return verdict.stop;
}

void reload_configuration(StepContext *context)
{
	if (!ConfigReloadPending)
		return;
	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
	reload_settings(context);
}

} // namespace

void begin_step(StepContext *context, const JobRow &job)
{
	if (job_settings_text)
		pfree(job_settings_text);
	job_settings_text = MemoryContextStrdup(TopMemoryContext, job.settings);
	view = ThrottleView{};
	worker.control_known = false;
	worker.attempts = job.attempts;
	reload_settings(context);
}

namespace {

// Returns whether the job's control is as this worker has seen it.
bool set_in_statement(bool in_statement)
{
	Guard guard;
	shared->workers[worker.slot].in_statement = in_statement;
	const LiveJob *live = find_live_job(worker.database, worker.job_id, false);
	return !live || !worker.control_known || live->control == worker.control_seen;
}

} // namespace

bool StepContext::begin_statement()
{
	if (set_in_statement(true))
		return true;
	end_statement();
	return false;
}

void StepContext::end_statement()
{
	(void)set_in_statement(false);
	QueryCancelPending = false; // it came too late
}

void StepContext::wait_ms(int64 ms)
{
	(void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					static_cast<long>(Max(ms, INT64CONST(1))), PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

bool StepContext::is_called() const
{
	Guard guard(LW_SHARED);
	const LiveJob *live = find_live_job(worker.database, worker.job_id, false);
	return ConfigReloadPending ||
		   (live && worker.control_known && live->control != worker.control_seen);
}

int64 StepContext::wal_piece()
{
	using safe_migrate::settings::wal_flush_after;
	if (wal_flush_after == 0 ||
		!writer_watch.others_write(
			GetCurrentTimestamp(), U64FromFullTransactionId(ReadNextFullTransactionId()),
			pg_atomic_read_u64(&shared->worker_transactions), safe_migrate::settings::max_workers))
		return 0;
	return static_cast<int64>(wal_flush_after) * 1024;
}

Go StepContext::next_batch(bool writes)
{
	MemoryContext old = MemoryContextSwitchTo(memory);
	TimestampTz nice_until = 0;
	if (settings.nice_ratio > 0 && worker.last_batch_us > 0)
		nice_until =
			GetCurrentTimestamp() +
			static_cast<int64>(settings.nice_ratio * static_cast<double>(worker.last_batch_us));
	Go go;
	for (;;) {
		// a cancel between two batches has nothing to cancel
		QueryCancelPending = false;
		CHECK_FOR_INTERRUPTS();
		reload_configuration(this);
		go = obey_control(this);
		if (go == Go::stop || gave_up)
			break;
		TimestampTz now = GetCurrentTimestamp();
		if (!safe_migrate::settings::enabled) {
			(void)set_condition(Condition::disabled, "safe_migrate.enabled is off");
			wait_ms(1000);
		} else if (worker.not_before > now)
			wait_ms((worker.not_before - now) / 1000 + 1);
		else if (nice_until > now)
			wait_ms((nice_until - now) / 1000 + 1);
		else if (writes && throttled(this))
			wait_ms(throttle_poll_ms);
		else
			break;
	}
	if (go == Go::on && gave_up)
		go = Go::stop;
	if (go == Go::on)
		(void)set_condition(Condition::none, nullptr);
	MemoryContextSwitchTo(old);
	return go;
}

namespace {

void set_local(const char *name, const char *value, GucContext context)
{
	(void)set_config_option(name, value, context, PGC_S_SESSION, GUC_ACTION_LOCAL, true, ERROR,
							false);
}

// Settings of one batch, until the end of its transaction.  What job code sets beyond them is
// undone before it commits.
void set_up_batch(const StepContext &context, const BatchOptions &options)
{
	apply_session_settings(context.session_settings);
	char text[32];
	snprintf(text, sizeof text, "%dms", options.lock_timeout_ms);
	set_local("lock_timeout", text, PGC_USERSET);
	if (options.asynchronous)
		set_local("synchronous_commit", "off", PGC_USERSET);
	if (options.without_triggers)
		set_local("session_replication_role", "replica", PGC_SUSET);
}

// A leading worker that has lasted so long did not begin with a row that brings down the server.
void forget_start_after_a_while()
{
	constexpr int64 a_while_us = 60'000'000;
	if (worker.noted_start <= 0 || GetCurrentTimestamp() - worker.noted_start < a_while_us)
		return;
	worker.noted_start = -1;
	(void)job_transaction([] { forget_starts(worker.job_id); });
}

// Whoever is in the way for too long is asked to leave, where that is wanted and the owner may: his
// statement, or, idle in a transaction, his session.  The function's own rights say who may.
void clear_the_way(StepContext *context, int blocker, int64 waited_ms)
{
	const JobSettings &wanted = context->settings;
	bool may_cancel = wanted.cancel_blockers > 0 && waited_ms >= wanted.cancel_blockers;
	bool may_terminate = wanted.terminate_blockers > 0 && waited_ms >= wanted.terminate_blockers;
	if (!may_cancel && !may_terminate)
		return;
	bool sent = false;
	ErrorData *error = job_transaction([&] {
		pgstat_clear_snapshot();
		const PgBackendStatus *session = nullptr;
		for (int i = 0; (session = pg::backend_status_by_index(i)) != nullptr; i++)
			if (session->st_procpid == blocker)
				break;
		if (!session || session->st_backendType != B_BACKEND)
			return;
		bool idle = session->st_state == STATE_IDLEINTRANSACTION ||
					session->st_state == STATE_IDLEINTRANSACTION_ABORTED;
		if (idle && may_terminate)
			sent = DatumGetBool(
				OidFunctionCall2(F_PG_TERMINATE_BACKEND, Int32GetDatum(blocker), Int64GetDatum(0)));
		else if (session->st_state == STATE_RUNNING && may_cancel)
			sent = DatumGetBool(OidFunctionCall1(F_PG_CANCEL_BACKEND, Int32GetDatum(blocker)));
	});
	if (error)
		context->note_event(
			"notice", psprintf("process %d could not be signalled: %s", blocker, error->message));
	else if (sent)
		context->note_event("notice",
							psprintf("process %d was in the way for %d ms and was signalled",
									 blocker, static_cast<int>(waited_ms)));
}

// A try for a strong lock has failed: out of the queue for a while, so that those who waited behind
// it get on, as long as there is patience.
Batch stay_away(StepContext *context, ErrorData *error, int mode)
{
	TimestampTz now = GetCurrentTimestamp();
	bool first = context->locked_since == 0;
	if (first)
		context->locked_since = now;
	int64 patience_us = static_cast<int64>(context->settings.ddl_lock_retry) * 1000;
	int blocker = 0;
	(void)job_transaction(
		[&] { blocker = pg::find_lock_holder(context->leaves, context->n_leaves, mode); });
	if (blocker != 0)
		clear_the_way(context, blocker, (now - context->locked_since) / 1000);
	char detail[128];
	if (blocker != 0)
		snprintf(detail, sizeof detail, "process %d holds a lock on the table", blocker);
	else
		strlcpy(detail, "sessions that hold a lock on the table", sizeof detail);
	if (now - context->locked_since >= patience_us) {
		error->message = psprintf(
			"could not get a lock within %s",
			format_setting(*find_setting("ddl_lock_retry"), context->settings.ddl_lock_retry));
		error->detail = blocker != 0 ? psprintf("In the way: %s.", detail) : nullptr;
		error->hint = pstrdup("See the view safe_migrate.blockers; safe_migrate.retry() goes on "
							  "where the job stopped.");
		context->gave_up = true;
		context->failure = error;
		return Batch::stop;
	}
	double jitter = 0.5 + pg_prng_double(&pg_global_prng_state);
	worker.not_before = now + static_cast<int64>(jitter * 2000.0 * context->settings.ddl_lock_try);
	(void)context->set_condition(Condition::locked, detail, blocker);
	if (first)
		context->note_event("waiting for a lock", detail);
	return Batch::again;
}

} // namespace

Batch StepContext::run_batch(void (*body)(void *), void *arg, const BatchOptions &options)
{
	MemoryContext old = MemoryContextSwitchTo(memory);
	pgstat_report_activity(STATE_RUNNING, worker.activity);
	TimestampTz started = GetCurrentTimestamp();
	bool mine = true;
	ErrorData *error = job_transaction([&] {
		if (worker_number == 0 && !claim_job(job_id)) {
			mine = false;
			return;
		}
		set_up_batch(*this, options);
		int nest = NewGUCNestLevel();
		PushActiveSnapshot(GetTransactionSnapshot());
		body(arg);
		AfterTriggerFireDeferred(); // here, so that what they set is undone as well
		if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
			(void)pg_atomic_fetch_add_u64(&shared->worker_transactions, 1);
		if (settings.max_lock_waiters >= 0)
			view.lock_waiters = throttle::lock_waiters_behind(MyProcPid);
		if (ActiveSnapshotSet())
			PopActiveSnapshot();
		AtEOXact_GUC(false, nest);
	});
	worker.last_batch_us = GetCurrentTimestamp() - started;
	Batch outcome = Batch::committed;
	if (error && options.lock_mode != 0 && error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE)
		outcome = stay_away(this, error, options.lock_mode);
	else if (error)
		outcome = handle_error(error);
	else if (!mine)
		outcome = Batch::stop;
	else if (worker.attempts > 0) {
		worker.attempts = 0;
		(void)job_transaction([&] { clear_retry(job_id); });
	}
	if (!error)
		locked_since = 0;
	forget_start_after_a_while();
	MemoryContextSwitchTo(old);
	return outcome;
}

namespace {

// Whatever the error says: without the role that the job worked for, it is paused, for reassign().
bool pause_without_owner(JobId id)
{
	if (SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(worker.owner)))
		return false;
	(void)move_job(id, Action::pause, InvalidOid, "the role that owns it does not exist any more");
	return true;
}

// What a batch waited for: a lock on a table, or one that a row's trigger, foreign key or index
// entry needs, of which the error's context tells.
void show_lock_wait(StepContext *context, const ErrorData &error)
{
	int blocker = 0;
	(void)job_transaction([&] {
		blocker = context->n_leaves > 0
					  ? pg::find_lock_holder(context->leaves, context->n_leaves, RowExclusiveLock)
					  : pg::find_lock_holder(&context->relation, 1, RowExclusiveLock);
	});
	char detail[160];
	if (blocker != 0)
		snprintf(detail, sizeof detail, "process %d holds a lock on the table", blocker);
	else if (error.context)
		snprintf(detail, sizeof detail, "a lock that others hold: %.*s",
				 static_cast<int>(strcspn(error.context, "\n")), error.context);
	else
		strlcpy(detail, "a lock that others hold", sizeof detail);
	(void)context->set_condition(Condition::locked, detail, blocker);
}

} // namespace

Batch StepContext::handle_error(ErrorData *error)
{
	worker.attempts++;
	Retry retry = retry_after(unpack_sql_state(error->sqlerrcode), worker.attempts,
							  pg_prng_double(&pg_global_prng_state));
	if (errors_are_final)
		retry.again = false;
	bool over = false;
	ErrorData *second = pg::run_transaction([&] {
		// somebody's pause() in an open transaction holds the row: not worth waiting for
		set_local("lock_timeout", "1s", PGC_USERSET);
		over = !OidIsValid(pg::extension_oid()) || pause_without_owner(job_id);
		if (!over && retry.again)
			note_retry(job_id, error, worker.attempts, retry.wait_us);
	});
	if (over) { // the extension is gone, and the job with it; or the job is paused
		gave_up = true;
		return Batch::stop;
	}
	// what keeps the note from being written may pass as well: a full disk, a cancel
	if (!retry.again ||
		(second && !retry_after(unpack_sql_state(second->sqlerrcode), worker.attempts, 0).again)) {
		gave_up = true;
		failure = error;
		return Batch::stop;
	}
	worker.not_before = GetCurrentTimestamp() + retry.wait_us;
	if (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE)
		show_lock_wait(this, *error);
	else
		(void)set_condition(Condition::retrying, error->message);
	return Batch::again;
}

// ---------------------------------------------------------------- progress

namespace {

template <class F> void with_live_job(F &&change)
{
	Guard guard;
	if (LiveJob *live = live_job_at_work(worker.database, worker.job_id))
		change(*live);
}

// Rates over the last seconds, smoothed; under the lock.
void update_rates(LiveJob &live, TimestampTz now)
{
	if (live.rate_at == 0) {
		live.rate_at = now;
		live.rate_rows = live.rows_written;
		live.rate_units = live.units_done;
		return;
	}
	double seconds = static_cast<double>(now - live.rate_at) / 1e6;
	if (seconds < 1.0)
		return;
	double rows = static_cast<double>(live.rows_written - live.rate_rows) / seconds;
	double units = static_cast<double>(live.units_done - live.rate_units) / seconds;
	constexpr double weight = 0.3;
	bool first = live.units_per_second == 0;
	live.rows_per_second =
		first ? rows : live.rows_per_second + weight * (rows - live.rows_per_second);
	live.units_per_second =
		first ? units : live.units_per_second + weight * (units - live.units_per_second);
	live.rate_at = now;
	live.rate_rows = live.rows_written;
	live.rate_units = live.units_done;
}

} // namespace

void StepContext::start_units(int64 units_total, int pass)
{
	with_live_job([&](LiveJob &live) {
		live.units_done = 0;
		live.units_total = units_total;
		live.pass = pass;
		live.rate_at = 0;
		live.units_per_second = 0;
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
		update_rates(live, now);
	});
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

void StepContext::note_event(const char *kind, const char *detail)
{
	(void)job_transaction([&] {
		if (OidIsValid(pg::extension_oid()))
			add_event(job_id, kind, InvalidOid, detail);
	});
}

void StepContext::want_workers(int n)
{
	bool changed = false;
	with_live_job([&](LiveJob &live) {
		changed = live.workers_wanted != n;
		live.workers_wanted = n;
	});
	if (changed)
		wake_scheduler(worker.database);
}

} // namespace safe_migrate::jobs
