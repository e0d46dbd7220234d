// See hold_timer.hpp.  The server calls nobody when a lock is waited for, so a timeout looks: at
// the earliest moment at which somebody could have waited for the whole limit.  It looks in the
// signal handler (there is no other code of ours that runs while the server rewrites a table),
// without locks and without memory.
#include "guard/hold_timer.hpp"

#include "guard/blockers.hpp"
#include "guard/lock_budget.hpp"
#include "pg/finally.hpp"
#include "pg/lock_table.hpp"
#include "pg/oid_places.hpp"
#include "settings.hpp"

extern "C" {
#include "access/xact.h"
#include "executor/executor.h"
#include "storage/lock.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/backend_status.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"
}

namespace safe_migrate::guard {

namespace {

struct Hold {
	Oid relation;
	LOCKMODE mode;
	SubTransactionId taken_in;
	TimestampTz since;
	int limit_ms;
	char name[2 * NAMEDATALEN + 2];
};

constexpr int max_cancels = 2; // of the holder of one lock; then its session is ended

// What the limit did, for the words about it.
struct Ended {
	enum How : uint8_t { no, cancelled, terminated } how;
	bool heeded;	   // the subtransaction is over in which the cancel came
	bool told;		   // in an error
	int cancels;	   // that were caught while the same lock was kept
	TimestampTz since; // of that lock
	int waiter;
	int64 waited_ms;
	LOCKMODE mode;
	int limit_ms;
	char name[2 * NAMEDATALEN + 2];
};

// Written with the timeout off, read by its handler.
Hold *holds = nullptr;
int n_holds = 0;
int capacity = 0;

Ended ended = {};
TimeoutId timeout_id;
bool timeout_registered = false;
TimestampTz next_look = 0;

SessionEndTeller session_end_teller = nullptr;
ProcessUtility_hook_type previous_utility = nullptr;
ExecutorRun_hook_type previous_run = nullptr;
emit_log_hook_type previous_log = nullptr;

TimestampTz after(TimestampTz moment, int ms) { return TimestampTzPlusMilliseconds(moment, ms); }

// ---------------------------------------------------------------- in the signal handler

// Waits for the client's next command, where a cancel has no effect (DoingCommandRead is static).
bool is_idle()
{
	return MyBackendType == B_BACKEND && debug_query_string == nullptr &&
		   (MyBEEntry == nullptr || MyBEEntry->st_state != STATE_RUNNING);
}

// A cancel that nobody has heeded for the limit's length (COPY FROM STDIN …) was not enough, nor is
// one that an EXCEPTION block catches again and again.
bool cancels_are_in_vain(const Hold &hold)
{
	if (ended.how != Ended::cancelled)
		return false;
	return !ended.heeded || (ended.since == hold.since && ended.cancels >= max_cancels);
}

void end_statement_or_session(const pg::LockWaiter &waiter, const Hold &hold, int64 waited_ms)
{
	ended.waiter = waiter.pid;
	ended.waited_ms = waited_ms;
	ended.mode = hold.mode;
	ended.limit_ms = hold.limit_ms;
	memcpy(ended.name, hold.name, sizeof(ended.name));
	const bool terminate = is_idle() || cancels_are_in_vain(hold);
	ended.cancels = ended.since == hold.since ? ended.cancels + 1 : 1;
	ended.since = hold.since;
	ended.heeded = false;
	ended.told = false;
	if (terminate) {
		ended.how = Ended::terminated;
		ProcDiePending = true;
	} else {
		ended.how = Ended::cancelled;
		QueryCancelPending = true;
	}
	InterruptPending = true;
}

// When the wait has lasted for the limit of a hold that it waits for; false: for none.
bool deadline_of(const pg::LockWaiter &waiter, TimestampTz *deadline, const Hold **held)
{
	bool found = false;
	for (int i = 0; i < n_holds; i++) {
		const Hold &hold = holds[i];
		if (hold.relation != waiter.relation || !DoLockModesConflict(hold.mode, waiter.mode))
			continue;
		const TimestampTz end = after(std::max(waiter.since, hold.since), hold.limit_ms);
		if (!found || end < *deadline) {
			*deadline = end;
			*held = &hold;
		}
		found = true;
	}
	return found;
}

int smallest_limit()
{
	int smallest = INT_MAX;
	for (int i = 0; i < n_holds; i++)
		smallest = std::min(smallest, holds[i].limit_ms);
	return smallest;
}

void look_who_waits()
{
	if (n_holds == 0)
		return;
	const TimestampTz now = GetCurrentTimestamp();
	next_look = after(now, smallest_limit()); // for those who begin to wait right now
	uint32 position = 0;
	pg::LockWaiter waiter;
	while (pg::next_lock_waiter(&position, &waiter)) {
		TimestampTz deadline = 0;
		const Hold *held = nullptr;
		if (!deadline_of(waiter, &deadline, &held))
			continue;
		if (deadline > now) {
			next_look = std::min(next_look, deadline);
			continue;
		}
		end_statement_or_session(
			waiter, *held,
			TimestampDifferenceMilliseconds(std::max(waiter.since, held->since), now));
		next_look = after(now, held->limit_ms);
		break;
	}
	enable_timeout_at(timeout_id, next_look);
}

// ---------------------------------------------------------------- on and off

void disarm()
{
	if (timeout_registered)
		disable_timeout(timeout_id, false);
}

void arm()
{
	if (n_holds == 0)
		return;
	if (!timeout_registered) {
		timeout_id = RegisterTimeout(USER_TIMEOUT, look_who_waits);
		timeout_registered = true;
	}
	// A moment that has passed, while the timeout was off, fires at once.
	enable_timeout_at(timeout_id, next_look);
}

template <class Unwanted> void remove_holds(Unwanted &&is_unwanted)
{
	int kept = 0;
	for (int i = 0; i < n_holds; i++)
		if (!is_unwanted(holds[i]))
			holds[kept++] = holds[i];
	n_holds = kept;
}

char *describe_end()
{
	return psprintf(
		"Process %d has waited %s for a lock on \"%s\", on which this transaction holds "
		"a lock in mode %s; the limit is %s.",
		ended.waiter, format_duration(ended.waited_ms), ended.name, pg::lock_mode_name(ended.mode),
		format_duration(ended.limit_ms));
}

void tell_log()
{
	const bool session = ended.how == Ended::terminated;
	if (ended.how == Ended::no || ended.told)
		return;
	if (session && session_end_teller != nullptr)
		session_end_teller(psprintf("others waited for its locks: %s", describe_end()));
	ereport(LOG, (session ? errmsg("session ended because others waited for its locks")
						  : errmsg("statement ended because others waited for its locks"),
				  errdetail_internal("%s", describe_end())));
}

void forget_all()
{
	disarm();
	n_holds = 0;
	if (ended.how == Ended::cancelled && !ended.heeded && !ended.told)
		QueryCancelPending = false; // it is not meant for the next transaction
	ended = {};
}

// The locks are held during the commit record's flush and synchronous replication, too, but there a
// cancel would only tell the client that the commit was not waited for.
void before_commit()
{
	disarm();
	if (ended.how != Ended::no)
		CHECK_FOR_INTERRUPTS();
}

void on_transaction(XactEvent event, void *)
{
	if (n_holds == 0 && ended.how == Ended::no)
		return;
	switch (event) {
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			before_commit();
			break;
		case XACT_EVENT_ABORT:
			tell_log();
			forget_all();
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
			forget_all();
			break;
		default:
			break;
	}
}

// The handler of an error turns all timeouts off; older locks outlive a subtransaction.
void on_subtransaction(SubXactEvent event, SubTransactionId own, SubTransactionId parent, void *)
{
	if (n_holds == 0 || (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB))
		return;
	disarm();
	if (event == SUBXACT_EVENT_ABORT_SUB)
		remove_holds([own](const Hold &hold) { return hold.taken_in == own; });
	for (int i = 0; i < n_holds; i++)
		if (holds[i].taken_in == own)
			holds[i].taken_in = parent;
	if (event == SUBXACT_EVENT_ABORT_SUB)
		ended.heeded = true;
	arm();
}

// ---------------------------------------------------------------- words

void give_own_text(ErrorData *error)
{
	if (ended.how != Ended::cancelled || ended.told)
		return;
	ended.told = true;
	error->message = pstrdup(_("canceling statement because others wait for its locks"));
	error->detail = describe_end();
	error->hint =
		pstrdup(_("Do less in the transaction that takes the lock, or nothing after it. The "
				  "limit is safe_migrate.max_lock_hold."));
}

bool is_watched() { return settings::guard == GUARD_ENFORCE || n_holds > 0; }

template <class... Args> void utility(Args... args)
{
	auto next = previous_utility != nullptr ? previous_utility : standard_ProcessUtility;
	if (!is_watched())
		next(args...);
	else
		pg::with_error_edited(
			ERRCODE_QUERY_CANCELED, [&] { next(args...); }, give_own_text);
}

template <class... Args> void run(Args... args)
{
	auto next = previous_run != nullptr ? previous_run : standard_ExecutorRun;
	if (!is_watched())
		next(args...);
	else
		pg::with_error_edited(
			ERRCODE_QUERY_CANCELED, [&] { next(args...); }, give_own_text);
}

// An error in a transaction that had failed already aborts nothing, but turns the timeout off.
void on_log(ErrorData *error)
{
	if (previous_log != nullptr)
		previous_log(error);
	if (error->elevel == ERROR && n_holds > 0)
		arm();
}

void make_room(int more)
{
	if (n_holds + more <= capacity)
		return;
	const int larger = std::max(8, std::max(2 * capacity, n_holds + more));
	holds = static_cast<Hold *>(
		holds == nullptr ? MemoryContextAllocHuge(TopMemoryContext, sizeof(Hold) * larger)
						 : repalloc_huge(holds, sizeof(Hold) * larger));
	capacity = larger;
}

// The strongest hold of each relation with this limit or a stricter one.
pg::OidPlaces limited_already(int limit_ms)
{
	pg::OidPlaces places = {};
	for (int i = 0; i < n_holds; i++) {
		if (holds[i].limit_ms > limit_ms)
			continue;
		int *place = places.put(holds[i].relation, i);
		if (holds[*place].mode < holds[i].mode)
			*place = i;
	}
	return places;
}

void add_hold(const WantedLock &lock, TimestampTz now, int limit_ms)
{
	Hold &hold = holds[n_holds++];
	hold.relation = lock.relation;
	hold.mode = lock.mode;
	hold.taken_in = GetCurrentSubTransactionId();
	hold.since = now;
	hold.limit_ms = limit_ms;
	snprintf(hold.name, sizeof(hold.name), "%s.%s", lock.schema, lock.name);
}

} // namespace

void limit_hold(const WantedLocks &locks, int limit_ms)
{
	const pg::OidPlaces limited = limited_already(limit_ms);
	const TimestampTz now = GetCurrentTimestamp();
	const int before = n_holds;
	disarm();
	make_room(locks.n);
	for (int i = 0; i < locks.n; i++) {
		const int *place = limited.find(locks.entries[i].relation);
		if (place == nullptr || holds[*place].mode < locks.entries[i].mode)
			add_hold(locks.entries[i], now, limit_ms);
	}
	if (n_holds > before) {
		const TimestampTz first = after(now, limit_ms);
		next_look = before == 0 ? first : std::min(next_look, first);
	}
	arm();
}

void forget_hold(const WantedLock &lock)
{
	disarm();
	remove_holds([&lock](const Hold &hold) {
		return hold.relation == lock.relation && hold.mode == lock.mode;
	});
	arm();
}

void tell_session_end_by(SessionEndTeller teller) { session_end_teller = teller; }

bool limits_hold() { return n_holds > 0; }

void install_hold_timer()
{
	RegisterXactCallback(on_transaction, nullptr);
	RegisterSubXactCallback(on_subtransaction, nullptr);
	previous_utility = ProcessUtility_hook;
	ProcessUtility_hook = utility;
	previous_run = ExecutorRun_hook;
	ExecutorRun_hook = run;
	previous_log = emit_log_hook;
	emit_log_hook = on_log;
}

} // namespace safe_migrate::guard
