// See lock_wait.hpp.
#include "jobs/lock_wait.hpp"

#include "jobs/shared.hpp"
#include "jobs/worker.hpp"
#include "pg/compat.hpp"
#include "pg/holder.hpp"

extern "C" {
#include "common/pg_prng.h"
#include "pgstat.h"
#include "utils/fmgroids.h"
#include "utils/timestamp.h"
}

namespace safe_migrate::jobs {

namespace {

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

} // namespace

namespace {

pg::NextMove next_move(const StepContext &context, const pg::Obstacles &obstacles)
{
	const JobSettings &settings = context.settings;
	pg::Waiting course = context.locks.course;
	int patience = context.waits_for_locks ? INT_MAX : settings.ddl_lock_retry;
	if (context.locks.since != 0 && !context.waits_for_locks)
		course.elapsed_ms = (GetCurrentTimestamp() - context.locks.since) / 1000;
	if (course.stays > 0)
		course.stays++; // a job has time: no pause is as short as a stay
	return pg::next_move(pg::patience_of(settings.ddl_lock_try, patience, 0, false, 0), course,
						 obstacles, pg_prng_double(&pg_global_prng_state));
}

constexpr size_t detail_length = sizeof(pg::Holder::name) + 40;

void say_who_holds_table(char (&detail)[detail_length], const pg::Holder &holder)
{
	if (holder.name[0] != '\0')
		snprintf(detail, sizeof detail, "%s holds a lock on the table", holder.name);
	else
		strlcpy(detail, "sessions that hold a lock on the table", sizeof detail);
}

// The end of the step, with who is in the way.
Batch give_up(StepContext *context, ErrorData *error, const pg::Holder &holder, const char *detail)
{
	error->message =
		psprintf("could not get a lock within %s",
				 format_setting(*find_setting("ddl_lock_retry"), context->settings.ddl_lock_retry));
	error->detail = holder.name[0] != '\0' ? psprintf("In the way: %s.", detail) : nullptr;
	error->hint = pstrdup("See the view safe_migrate.blockers; safe_migrate.retry() goes on "
						  "where the job stopped.");
	context->gave_up = true;
	context->failure = error;
	return Batch::stop;
}

} // namespace

pg::NextMove begin_stay(StepContext *context, const pg::Obstacles &obstacles)
{
	context->locks.move = next_move(*context, obstacles);
	if (context->locks.move.move != pg::Move::stay)
		ereport(ERROR, (errcode(ERRCODE_LOCK_NOT_AVAILABLE),
						errmsg_internal("an old transaction holds a lock that is in the way")));
	return context->locks.move;
}

// A try for a strong lock has failed: out of the queue for a while, so that those who waited behind
// it get on, as long as there is patience.
Batch stay_away(StepContext *context, ErrorData *error, int mode)
{
	TimestampTz now = GetCurrentTimestamp();
	LockTries &tries = context->locks;
	bool first = tries.since == 0;
	if (first)
		tries.since = now;
	pg::Holder holder = {};
	forget(job_transaction(
		[&] { holder = pg::holder_of_relations(context->leaves, context->n_leaves, mode); }));
	if (holder.pid != 0)
		clear_the_way(context, holder.pid, (now - tries.since) / 1000);
	char detail[detail_length];
	say_who_holds_table(detail, holder);
	if (tries.move.move == pg::Move::stay) {
		tries.course.stays++;
		tries.course.has_paused = false;
		tries.course.was_last = tries.move.last;
		tries.move = next_move(*context, {0, 0, -1});
	}
	if (tries.move.move == pg::Move::give_up)
		return give_up(context, error, holder, detail);
	tries.course.has_paused = true;
	worker.not_before = now + static_cast<int64>(tries.move.ms) * 1000;
	tries.move = {}; // the next try is a stay, unless begin_stay() says otherwise
	context->begin_wait(Condition::locked, detail, holder.pid);
	if (first)
		context->note_event("waiting for a lock", detail);
	FreeErrorData(error); // one of many
	return Batch::again;
}

void end_lock_wait(StepContext *context)
{
	context->locks = {};
	context->end_wait();
}

void watch_batch(const StepContext &context)
{
	constexpr int64 a_while_us = 60'000'000;
	constexpr int look_every_ms = 10;
	bool lately = context.lock_timeout_at != 0 &&
				  GetCurrentTimestamp() - context.lock_timeout_at < a_while_us;
	pg::watch_lock_waits(lately ? look_every_ms : 0);
}

namespace {

// Of a lock that a row's trigger, foreign key or index entry needs: the error's context tells what
// for, and the batch was seen waiting for it where it is not the first of them.
pg::Holder say_what_was_awaited(char *detail, size_t size, const char *context)
{
	pg::Holder holder = {};
	LOCKTAG tag;
	LOCKMODE mode;
	if (pg::awaited_lock(&tag, &mode))
		forget(job_transaction([&] { holder = pg::holder_of_lock(tag, mode); }));
	const char *waiter = pg::waiter_in_context(context);
	char *text =
		psprintf("a lock that %s%s%.*s",
				 holder.name[0] != '\0' ? psprintf("%s holds", holder.name) : "others hold",
				 waiter ? ": " : "", waiter ? static_cast<int>(strcspn(waiter, "\n")) : 0,
				 waiter ? waiter : "");
	set_text(detail, size, text);
	pfree(text);
	return holder;
}

} // namespace

void show_lock_wait(StepContext *context, const ErrorData &error)
{
	context->lock_timeout_at = GetCurrentTimestamp();
	bool leaves = context->n_leaves > 0;
	pg::Holder holder = {};
	forget(job_transaction([&] {
		holder = pg::holder_of_relations(leaves ? context->leaves : &context->relation,
										 leaves ? context->n_leaves : 1, RowExclusiveLock);
	}));
	char detail[detail_length];
	if (holder.name[0] != '\0')
		say_who_holds_table(detail, holder);
	else
		holder = say_what_was_awaited(detail, sizeof detail, error.context);
	(void)context->set_condition(Condition::locked, detail, holder.pid);
}

} // namespace safe_migrate::jobs
