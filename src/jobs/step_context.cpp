// Between the batches of a step, and around each: control, pauses, errors.  See step_context.hpp.
#include "jobs/step_context.hpp"

#include "jobs/claim.hpp"
#include "jobs/lock_wait.hpp"
#include "jobs/session_settings.hpp"
#include "jobs/shared.hpp"
#include "jobs/state.hpp"
#include "jobs/step_throttle.hpp"
#include "jobs/store.hpp"
#include "jobs/worker.hpp"
#include "jobs/writer_watch.hpp"
#include "pg/guc.hpp"
#include "pg/holder.hpp"
#include "pg/sql.hpp"

extern "C" {
#include "access/transam.h"
#include "access/xact.h"
#include "commands/trigger.h"
#include "common/pg_prng.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
}

namespace safe_migrate::jobs {

namespace {

constexpr long throttle_poll_ms = 100;

WriterWatch writer_watch;
char *job_settings_text = nullptr; // in TopMemoryContext

void keep_settings(const JobRow &job)
{
	if (job_settings_text)
		pfree(job_settings_text);
	job_settings_text = MemoryContextStrdup(TopMemoryContext, job.settings);
}

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
		LiveJob *live = find_live_job(worker.home, worker.job_id, false);
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
		JobRow *job = load_own_job(false);
		if (!job || job->state != JobState::running)
			return;
		context->workers = job->workers;
		if (context->worker_number > 0 && context->worker_number >= job->workers)
			return; // one too many by now
		go = Go::on;
		keep_settings(*job);
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

// Between two batches a cancel has nothing to cancel: the worker lives on.
void take_interrupts()
{
	HOLD_CANCEL_INTERRUPTS();
	CHECK_FOR_INTERRUPTS();
	RESUME_CANCEL_INTERRUPTS();
	QueryCancelPending = false;
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
	keep_settings(job);
	begin_throttle();
	worker.control_known = false;
	worker.attempts = job.attempts;
	worker.retry_over = 0;
	reload_settings(context);
}

// ---------------------------------------------------------------- between two batches

void StepContext::wait_ms(int64 ms)
{
	(void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					static_cast<long>(Max(ms, INT64CONST(1))), PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	take_interrupts();
}

bool StepContext::is_called() const
{
	Guard guard(LW_SHARED);
	const LiveJob *live = find_live_job(worker.home, worker.job_id, false);
	return ConfigReloadPending ||
		   (worker.control_known && (!live || live->control != worker.control_seen));
}

bool StepContext::others_write()
{
	return writer_watch.others_write(
		GetCurrentTimestamp(), U64FromFullTransactionId(ReadNextFullTransactionId()),
		pg_atomic_read_u64(&shared->worker_transactions), safe_migrate::settings::max_workers);
}

namespace {

// Without the role that it works for, a job is paused, for reassign().
bool pause_without_owner(JobId id)
{
	if (SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(worker.owner)))
		return false;
	(void)move_job(id, Action::pause, InvalidOid, "the role that owns it does not exist any more");
	return true;
}

// Settings of one batch, until the end of its transaction.  What job code sets beyond them is
// undone before it commits.  Whether the owner may be without triggers is for the batch to ask.
void set_up_batch(const StepContext &context, const BatchOptions &options)
{
	apply_session_settings(context.session_settings);
	pg::set_local_ms("lock_timeout", options.lock_timeout_ms);
	if (options.asynchronous)
		pg::set_local("synchronous_commit", "off");
	if (options.without_triggers)
		pg::set_local("session_replication_role", "replica", PGC_SUSET);
}

// Who stands still has no batch that would fail for what is gone: its role, and, while it is
// throttled, its rights or its table.  Locks that are not free are looked at another time.
void look_at_what_it_needs(StepContext *context, bool throttled)
{
	constexpr int lock_timeout_ms = 10;
	bool gone = false;
	forget(pg::run_transaction([&] {
		pg::set_local("lock_timeout", "1s"); // somebody's pause() may hold the row
		gone = extension_is_there() && pause_without_owner(context->job_id);
	}));
	if (gone || !throttled || !context->check_work)
		return;
	ErrorData *error = job_transaction([&] {
		if (!extension_is_there())
			return;
		set_up_batch(*context, {lock_timeout_ms, false, false, 0});
		int nest = NewGUCNestLevel();
		PushActiveSnapshot(GetTransactionSnapshot());
		context->check_work(context->work);
		PopActiveSnapshot();
		AtEOXact_GUC(false, nest);
	});
	if (error && error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE &&
		error->sqlerrcode != ERRCODE_QUERY_CANCELED)
		(void)context->handle_error(error);
	else
		forget(error);
}

void look_at_times(StepContext *context, TimestampTz *looked_at, bool throttled)
{
	constexpr int64 look_every_us = 1'000'000;
	TimestampTz now = GetCurrentTimestamp();
	if (now - *looked_at < look_every_us)
		return;
	look_at_what_it_needs(context, throttled);
	*looked_at = GetCurrentTimestamp();
}

} // namespace

Go StepContext::next_batch(bool writes)
{
	MemoryContext old = MemoryContextSwitchTo(memory);
	TimestampTz nice_until = 0;
	if (settings.nice_ratio > 0 && worker.last_batch_us > 0)
		nice_until =
			GetCurrentTimestamp() +
			static_cast<int64>(settings.nice_ratio * static_cast<double>(worker.last_batch_us));
	Go go;
	TimestampTz stands_since = 0, looked_at = 0;
	for (;;) {
		take_interrupts();
		reload_configuration(this);
		go = obey_control(this);
		if (go == Go::stop || gave_up)
			break;
		TimestampTz now = GetCurrentTimestamp();
		bool stands = true, throttled = false;
		if (!safe_migrate::settings::enabled) {
			(void)set_condition(Condition::disabled, "safe_migrate.enabled is off");
			wait_ms(1000);
		} else if (worker.not_before > now)
			wait_ms((worker.not_before - now) / 1000 + 1);
		else if (nice_until > now) {
			wait_ms((nice_until - now) / 1000 + 1);
			stands = false;
		} else if (writes && (throttled = is_throttled(this)))
			wait_ms(throttle_poll_ms);
		else
			break;
		if (stands && stands_since == 0)
			stands_since = looked_at = now;
		if (stands)
			look_at_times(this, &looked_at, throttled);
	}
	if (stands_since != 0 && GetCurrentTimestamp() - stands_since > 1'000'000)
		begin_rates();
	if (go == Go::on && gave_up)
		go = Go::stop;
	if (go == Go::on) // what kept it is over; what the step itself waits for may not be
		(void)set_condition(waits.condition, waits.detail[0] ? waits.detail : nullptr, waits.pid);
	MemoryContextSwitchTo(old);
	return go;
}

// ---------------------------------------------------------------- a batch

namespace {

// Writes to the job's row what can wait, where no open transaction of somebody's pause() or
// configure() has it: the batches go on meanwhile.  False: another time.
bool try_on_row(JobId id, void (*change)(JobId))
{
	bool done = false;
	forget(job_transaction([&] {
		done = is_job_free(id);
		if (done)
			change(id);
	}));
	return done;
}

constexpr int64 try_again_us = 500'000;

void clear_retry_once(JobId id)
{
	TimestampTz now = GetCurrentTimestamp();
	if (worker.retry_over == 0 || worker.retry_over > now)
		return;
	worker.retry_over = try_on_row(id, clear_retry) ? 0 : now + try_again_us;
}

// A leading worker that has lasted so long did not begin with a row that brings down the server.
void forget_start_after_a_while()
{
	constexpr int64 a_while_us = 60'000'000;
	TimestampTz now = GetCurrentTimestamp();
	if (worker.noted_start <= 0 || now - worker.noted_start < a_while_us)
		return;
	worker.noted_start =
		try_on_row(worker.job_id, forget_starts) ? -1 : now - a_while_us + try_again_us;
}

// A batch that lasts so long does not end for those who wait for it: pause(), cancel() and the
// switch safe_migrate.enabled roll it back.
void set_overdue(const StepContext &context, TimestampTz started)
{
	constexpr int64 long_us = 5'000'000;
	constexpr int64 aims = 10; // that are as long as a batch should be
	int64 after_us = Max(long_us, aims * 1000 * context.settings.batch_time);
	Guard guard;
	shared->workers[worker.slot].overdue_at = started == 0 ? 0 : started + after_us;
}

// mine: this worker leads the job.
Batch after_batch(StepContext *context, ErrorData *error, bool mine)
{
	if (error && error->sqlerrcode == ERRCODE_QUERY_CANCELED && context->is_called()) {
		FreeErrorData(error); // no fault of the batch
		return Batch::again;
	}
	if (error)
		return context->handle_error(error);
	if (!mine)
		return Batch::stop;
	if (worker.attempts > 0) {
		worker.attempts = 0;
		worker.retry_over = 1;
	}
	clear_retry_once(context->job_id);
	return Batch::committed;
}

} // namespace

Batch StepContext::run_batch(void (*body)(void *), void *arg, const BatchOptions &options)
{
	MemoryContext old = MemoryContextSwitchTo(memory);
	pgstat_report_activity(STATE_RUNNING, worker.activity);
	TimestampTz started = GetCurrentTimestamp();
	bool mine = true;
	set_overdue(*this, started);
	ErrorData *error = job_transaction([&] {
		if (!extension_is_there() || (worker_number == 0 && !claim_job(job_id))) {
			mine = false;
			return;
		}
		set_up_batch(*this, options);
		if (options.lock_mode == 0)
			watch_batch(*this);
		int nest = NewGUCNestLevel();
		PushActiveSnapshot(GetTransactionSnapshot());
		body(arg);
		AfterTriggerFireDeferred(); // here, so that what they set is undone as well
		pg::stop_watching();
		if (!extension_is_there()) // else it may have marked what another one's job has to do
			ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
							errmsg("job " INT64_FORMAT " does not exist any more", job_id)));
		if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
			(void)pg_atomic_fetch_add_u64(&shared->worker_transactions, 1);
		count_lock_waiters(*this);
		if (ActiveSnapshotSet())
			PopActiveSnapshot();
		AtEOXact_GUC(false, nest);
	});
	set_overdue(*this, 0);
	QueryCancelPending = false; // it came too late
	worker.last_batch_us = GetCurrentTimestamp() - started;
	Batch outcome = Batch::committed;
	if (error && options.lock_mode != 0 && error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE)
		outcome = stay_away(this, error, options.lock_mode);
	else {
		end_lock_wait(this); // they were there
		outcome = after_batch(this, error, mine);
	}
	forget_start_after_a_while();
	MemoryContextSwitchTo(old);
	return outcome;
}

Batch StepContext::handle_error(ErrorData *error)
{
	worker.attempts++;
	last_error = error->sqlerrcode;
	Retry retry = retry_after(unpack_sql_state(error->sqlerrcode), worker.attempts,
							  pg_prng_double(&pg_global_prng_state));
	if (errors_are_final)
		retry.again = false;
	bool over = false;
	ErrorData *second = pg::run_transaction([&] {
		// somebody's pause() in an open transaction holds the row: not worth waiting for
		pg::set_local("lock_timeout", "1s");
		over = !extension_is_there() || pause_without_owner(job_id);
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
	forget(second);
	worker.not_before = GetCurrentTimestamp() + retry.wait_us;
	if (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE)
		show_lock_wait(this, *error);
	else
		(void)set_condition(Condition::retrying, error->message);
	FreeErrorData(error); // one of many
	return Batch::again;
}

// ---------------------------------------------------------------- a long statement

namespace {

void set_in_statement(InStatement in_statement)
{
	Guard guard;
	shared->workers[worker.slot].in_statement = in_statement;
}

} // namespace

bool StepContext::begin_statement(bool repeatable)
{
	set_in_statement(repeatable ? InStatement::repeatable : InStatement::cancellable);
	if (!is_called())
		return true;
	end_statement();
	return false;
}

void StepContext::end_statement()
{
	set_in_statement(InStatement::none);
	QueryCancelPending = false; // it came too late
}

} // namespace safe_migrate::jobs
