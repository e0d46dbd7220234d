// See lock_try.hpp.
#include "guard/lock_try.hpp"

#include "guard/blockers.hpp"
#include "pg/finally.hpp"
#include "pg/guc.hpp"
#include "pg/lock_table.hpp"
#include "pg/paused_waits.hpp"
#include "pg/portal_snapshot.hpp"
#include "pg/transaction.hpp"

extern "C" {
#include "common/pg_prng.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"
}

namespace safe_migrate::guard {

namespace {

// The locks belong to the (sub)transaction, not to the portal that happens to run, whichever way
// they are taken: a subtransaction hands its own to that owner too.
template <class Body> void as_transaction(Body &&body)
{
	ResourceOwner saved = CurrentResourceOwner;
	CurrentResourceOwner = CurTransactionResourceOwner;
	body();
	CurrentResourceOwner = saved; // an error aborts the transaction, which sets its own
}

// False (at_once only): somebody is in the way.
bool take(const WantedLock &lock, bool at_once)
{
	if (OidIsValid(lock.class_id))
		return pg::lock_object(lock.class_id, lock.relation, lock.mode, at_once);
	if (at_once)
		return ConditionalLockRelationOid(lock.relation, lock.mode);
	LockRelationOid(lock.relation, lock.mode);
	return true;
}

void release(const WantedLock &lock)
{
	if (OidIsValid(lock.class_id))
		UnlockDatabaseObject(lock.class_id, lock.relation, 0, lock.mode);
	else
		UnlockRelationOid(lock.relation, lock.mode);
}

// lock_timeout counts for each lock anew; here it is what is left of the stay.
void lock_within(const WantedLocks &wanted, const pg::NextMove &stay, int *reached)
{
	const int nest = NewGUCNestLevel();
	const TimestampTz end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), stay.ms);

	if (stay.deadlock_timeout > 0 && stay.deadlock_timeout < DeadlockTimeout)
		pg::set_in_level_ms("deadlock_timeout", stay.deadlock_timeout, PGC_SUSET);
	for (int i = 0; i < wanted.n; i++) {
		*reached = i;
		const long left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), end);
		pg::set_in_level_ms("lock_timeout", std::max(1, static_cast<int>(left)), PGC_USERSET);
		(void)take(wanted.entries[i], false);
	}
	CHECK_FOR_INTERRUPTS(); // a timeout that came with the grant belongs in here
	AtEOXact_GUC(true, nest);
}

// Who holds the lock waits for this transaction: the server's error, but for its HINT.
char *deadlock_hint()
{
	return pstrdup(_("Roll the transaction back, and run the statement in one of its own."));
}

[[noreturn]] void report_deadlock(ErrorData *error)
{
	error->hint = deadlock_hint();
	ReThrowError(error);
	pg_unreachable();
}

// So it is where the others are out of the queues as well.
[[noreturn]] void report_deadlock(const char *waits)
{
	pgstat_report_deadlock();
	ereport(ERROR, (errcode(ERRCODE_T_R_DEADLOCK_DETECTED), errmsg("deadlock detected"),
					errdetail_internal("%s", waits), errhint("%s", deadlock_hint())));
	pg_unreachable();
}

// Stands in the queue; false: in vain, nothing is held.
bool stay_in_queue(const WantedLocks &wanted, const pg::NextMove &stay, int *reached)
{
	ErrorData *error = pg::run_subtransaction([&] { lock_within(wanted, stay, reached); });
	if (error == nullptr)
		return true;
	if (error->sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED && stay.settles)
		report_deadlock(error);
	if (error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE &&
		error->sqlerrcode != ERRCODE_T_R_DEADLOCK_DETECTED)
		ReThrowError(error);
	FreeErrorData(error);
	return false;
}

void pause(int ms, const pg::PausedWait &awaited)
{
	pg::give_back_catalog_snapshot();
	pg::wait_outside(awaited);
	const TimestampTz end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ms);
	for (;;) {
		CHECK_FOR_INTERRUPTS();
		const long left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), end);
		if (left <= 0)
			return;
		(void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, left,
						PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
}

} // namespace

// Where nobody is in the way no subtransaction is needed, whose number would be one more for all
// snapshots to look at.
bool take_at_once(const WantedLocks &wanted)
{
	int taken = 0;
	as_transaction([&] {
		while (taken < wanted.n && take(wanted.entries[taken], true))
			taken++;
		if (taken < wanted.n)
			for (int i = taken - 1; i >= 0; i--)
				release(wanted.entries[i]);
	});
	return taken == wanted.n;
}

namespace {

pg::Obstacles look_around(const WantedLocks &wanted, pg::PausedWait *awaited)
{
	MemoryContext memory =
		AllocSetContextCreate(CurrentMemoryContext, "lock holders", ALLOCSET_SMALL_SIZES);
	const pg::Obstacles obstacles = look_for_obstacles(wanted, memory, awaited);
	MemoryContext caller = MemoryContextSwitchTo(memory);
	const char *deadlock = pg::deadlock_of(*awaited);
	MemoryContextSwitchTo(caller);
	if (deadlock != nullptr)
		report_deadlock(deadlock);
	MemoryContextDelete(memory);
	return obstacles;
}

void try_and_pause(const WantedLocks &wanted, const pg::Patience &patience)
{
	const TimestampTz begin = GetCurrentTimestamp();
	pg::Waiting waiting = {};
	int reached = 0; // the lock at which the last stay ended
	bool told = false;

	do {
		pg::PausedWait awaited;
		const pg::Obstacles obstacles = look_around(wanted, &awaited);
		waiting.elapsed_ms = TimestampDifferenceMilliseconds(begin, GetCurrentTimestamp());
		const pg::NextMove next =
			next_move(patience, waiting, obstacles, pg_prng_double(&pg_global_prng_state));
		if (next.move == pg::Move::give_up)
			report_no_lock(wanted, reached, waiting.elapsed_ms);
		if (next.move == pg::Move::pause) {
			if (!told && waiting.elapsed_ms >= pg::old_holder_ms) {
				tell_blockers(wanted, waiting.elapsed_ms);
				told = true;
			}
			pause(next.ms, awaited);
			waiting.has_paused = true;
			continue;
		}
		pg::wait_in_queue();
		if (stay_in_queue(wanted, next, &reached))
			break;
		waiting.stays++;
		waiting.has_paused = false;
		waiting.was_last = next.last;
	} while (!take_at_once(wanted));
}

} // namespace

bool queue_politely(const WantedLocks &wanted, const pg::Patience &patience)
{
	if (take_at_once(wanted))
		return false;
	const bool has_no_snapshot = pg::give_back_portal_snapshot();
	pg::with_cleanup([&] { try_and_pause(wanted, patience); }, [] { pg::end_wait(); });
	if (has_no_snapshot)
		pg::take_portal_snapshot();
	return true;
}

void give_back(const WantedLock &lock)
{
	as_transaction([&] { release(lock); });
}

} // namespace safe_migrate::guard
