// See lock_budget.hpp.
#include "guard/lock_budget.hpp"

#include "guard/hold_timer.hpp"
#include "guard/lock_rights.hpp"
#include "guard/lock_try.hpp"
#include "guard/policy.hpp"
#include "pg/compat.hpp"
#include "pg/compat_locks.hpp"
#include "pg/lock_table.hpp"
#include "pg/oid_places.hpp"
#include "pg/paused_waits.hpp"
#include "statement/relations.hpp"

extern "C" {
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "storage/sinval.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

namespace safe_migrate::guard {

namespace {

using statement::Effects;
using statement::Exempt;
using statement::Finding;

// What the last call took, for one that follows it after judging again.
WantedLocks taken = {};
int taken_capacity = 0;

bool exists(Oid relation) { return SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relation)); }

// Others can wait for it.
bool is_shared_lock(const Finding &finding)
{
	return finding.relation != 0 && statement::is_strong(finding.lock) &&
		   (finding.exempt == Exempt::no || finding.exempt == Exempt::empty);
}

// Nobody else is harmed by it.  But another session may give the table's name to another table
// while the statement waits for it.
bool is_own_lock(const Finding &finding)
{
	return finding.relation != 0 && statement::is_strong(finding.lock) &&
		   finding.exempt == Exempt::created_here;
}

// Each relation once, with the strongest mode, since a second one would be an upgrade; in the order
// in which the statement comes to them.
WantedLocks wanted_locks(const Effects *effects, bool (*is_wanted)(const Finding &))
{
	WantedLocks wanted = {};
	pg::OidPlaces places = {};
	wanted.entries = static_cast<WantedLock *>(palloc(sizeof(WantedLock) * (effects->n + 1)));
	for (int i = 0; i < effects->n; i++) {
		const Finding &finding = effects->findings[i];
		const auto mode = static_cast<LOCKMODE>(finding.lock);
		if (!is_wanted(finding))
			continue;
		WantedLock &entry = wanted.entries[*places.put(finding.relation, wanted.n)];
		if (&entry == &wanted.entries[wanted.n]) {
			entry = {finding.relation, mode, finding.schema != nullptr ? finding.schema : "",
					 finding.name != nullptr ? finding.name : "", InvalidOid};
			wanted.n++;
		} else if (entry.mode < mode)
			entry.mode = mode;
	}
	return wanted;
}

WantedLocks not_held(const WantedLocks &wanted, int more = 0)
{
	WantedLocks missing = {};
	missing.entries = static_cast<WantedLock *>(palloc(sizeof(WantedLock) * (wanted.n + more + 1)));
	for (int i = 0; i < wanted.n; i++)
		if (!pg::holds_lock(wanted.entries[i].relation, wanted.entries[i].mode))
			missing.entries[missing.n++] = wanted.entries[i];
	return missing;
}

// Relations, and objects that are none: those stay locked, whatever the statement is found to be
// about when it is judged again.
WantedLocks not_held(const WantedLocks &relations, const Effects *effects)
{
	WantedLocks missing = not_held(relations, effects->n_objects);
	for (int i = 0; i < effects->n_objects; i++) {
		const statement::Object &object = effects->objects[i];
		if (object.is_locked &&
			!pg::holds_lock(object.object, AccessExclusiveLock, object.class_id))
			missing.entries[missing.n++] = {object.object, AccessExclusiveLock, "", "",
											object.class_id};
	}
	return missing;
}

// ---------------------------------------------------------------- what was taken

void forget_taken() { taken.n = 0; }

void remember_taken(const WantedLocks &locks)
{
	if (taken.n + locks.n > taken_capacity) {
		const int larger = 2 * (taken.n + locks.n);
		const Size size = sizeof(WantedLock) * larger;
		taken.entries = static_cast<WantedLock *>(taken.entries == nullptr
													  ? MemoryContextAlloc(TopMemoryContext, size)
													  : repalloc(taken.entries, size));
		taken_capacity = larger;
	}
	for (int i = 0; i < locks.n; i++)
		if (!OidIsValid(locks.entries[i].class_id))
			taken.entries[taken.n++] = {locks.entries[i].relation, locks.entries[i].mode, "", "",
										0};
}

void give_back_unwanted(const WantedLocks &shared, const WantedLocks &own)
{
	pg::OidPlaces places = {};
	for (const WantedLocks *wanted : {&shared, &own})
		for (int i = 0; i < wanted->n && taken.n > 0; i++)
			(void)places.put(wanted->entries[i].relation, i);
	int kept = 0;
	for (int i = 0; i < taken.n; i++) {
		const WantedLock lock = taken.entries[i];
		if (places.find(lock.relation) != nullptr) {
			taken.entries[kept++] = lock;
			continue;
		}
		forget_hold(lock);
		give_back(lock);
	}
	taken.n = kept;
}

// As the statement itself would wait for them.  False: nobody was in the way.
bool lock_own(const WantedLocks &locks)
{
	bool has_waited = false;
	for (int i = 0; i < locks.n; i++) {
		const WantedLock &lock = locks.entries[i];
		if (ConditionalLockRelationOid(lock.relation, lock.mode))
			continue;
		LockRelationOid(lock.relation, lock.mode);
		has_waited = true;
	}
	remember_taken(locks);
	return has_waited;
}

// What there was nothing to lose of has got rows since, which sends no invalidation.
bool has_something_to_lose(const Effects *effects)
{
	for (int i = 0; i < effects->n; i++) {
		const Finding &finding = effects->findings[i];
		if (finding.exempt == Exempt::empty && finding.effect == statement::Effect::data_loss &&
			exists(finding.relation) && !statement::is_empty(finding.relation))
			return true;
	}
	return false;
}

} // namespace

uint64 catalog_moment()
{
	AcceptInvalidationMessages();
	return SharedInvalidMessageCounter;
}

bool take_locks(const Effects *effects, const LockBudget &budget, uint64 judged_at, bool again)
{
	if (!again)
		forget_taken();
	if (effects->commits_inside || !may_take_locks(effects))
		return false;
	const WantedLocks wanted = wanted_locks(effects, is_shared_lock);
	const WantedLocks own = wanted_locks(effects, is_own_lock);
	give_back_unwanted(wanted, own);
	const WantedLocks missing = not_held(wanted, effects);
	const WantedLocks missing_own = not_held(own);
	bool has_waited = false;
	if (effects->nowait) {
		if (!take_at_once(missing))
			return false; // so the statement fails, in the server's words
		remember_taken(missing);
	} else if (missing.n > 0) {
		has_waited = queue_politely(missing, pg::patience_of(budget.lock_try, budget.lock_retry,
															 budget.lock_timeout,
															 holds_strong_lock(), LockTimeout));
		remember_taken(missing);
	}
	if (!effects->nowait)
		has_waited |= lock_own(missing_own);
	if (budget.max_hold > 0)
		limit_hold(wanted, budget.max_hold);
	return missing.n + missing_own.n > 0 &&
		   (has_waited || SharedInvalidMessageCounter != judged_at ||
			has_something_to_lose(effects));
}

int limit_queued_hold(Oid relation, int mode)
{
	const char *name = get_rel_name(relation);
	const int limit_ms = max_hold_for(relation);
	if (limit_ms == 0 || name == nullptr ||
		!statement::is_strong(static_cast<statement::Lock>(mode)))
		return 0;
	WantedLock lock = {relation, mode, get_namespace_name(get_rel_namespace(relation)), name,
					   InvalidOid};
	limit_hold({&lock, 1}, limit_ms);
	return limit_ms;
}

bool wait_to_look(Oid relation, const LockBudget &budget)
{
	const char *name = get_rel_name(relation);
	if (name == nullptr)
		return false;
	WantedLock look = {relation, AccessShareLock, get_namespace_name(get_rel_namespace(relation)),
					   name, InvalidOid};
	(void)queue_politely({&look, 1},
						 pg::patience_of(budget.lock_try, budget.lock_retry, budget.lock_timeout,
										 holds_strong_lock(), LockTimeout));
	return true;
}

void give_back_look(Oid relation) { give_back({relation, AccessShareLock, "", "", InvalidOid}); }

bool holds_strong_lock()
{
	int n = 0;
	const Oid *relations = pg::strongly_locked_relations(&n);
	for (int i = 0; i < n; i++)
		if (!exists(relations[i]) || statement::exemption(relations[i]) == Exempt::no)
			return true;
	return false;
}

void install_lock_budget()
{
	install_hold_timer();
	pg::install_paused_waits();
}

} // namespace safe_migrate::guard
