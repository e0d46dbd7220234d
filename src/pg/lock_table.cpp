// See lock_table.hpp.
#include "pg/lock_table.hpp"

#include "pg/compat.hpp"
#include "pg/compat_locks.hpp"

extern "C" {
#include "access/transam.h"
#include "access/twophase.h"
#include "catalog/pg_authid.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "nodes/execnodes.h"
#include "pgstat.h"
#include "storage/lmgr.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "utils/array.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/inval.h"
#include "utils/timestamp.h"
}

namespace safe_migrate::pg {

namespace {

const PgBackendStatus *status_of(int pid)
{
	for (int i = 0;; i++) {
		const PgBackendStatus *status = backend_status_by_index(i);
		if (status == nullptr || status->st_procpid == pid)
			return status;
	}
}

int64 transaction_age_ms(const PgBackendStatus *status)
{
	if (status == nullptr || status->st_xact_start_timestamp == 0)
		return -1;
	return TimestampDifferenceMilliseconds(status->st_xact_start_timestamp, GetCurrentTimestamp());
}

int64 wait_of(PGPROC *proc)
{
	if (*const_cast<LOCK *const volatile *>(&proc->waitLock) == nullptr)
		return -1;
	const auto since = static_cast<TimestampTz>(pg_atomic_read_u64(&proc->waitStart));
	return since == 0 ? 0 : TimestampDifferenceMilliseconds(since, GetCurrentTimestamp());
}

// False: it has ended.  A prepared transaction goes by the virtual number that it had in the
// process that prepared it, which may run another one by now.
bool find_holder(const VirtualTransactionId &transaction, LockHolder *found)
{
	LockHolder &holder = *found;
	holder = {};
	holder.age_ms = -1;
	holder.waits_ms = -1;
	PGPROC *proc = proc_of(transaction);
	if (proc == nullptr || local_transaction_of(proc) != transaction.localTransactionId) {
		bool more = false;
		const TransactionId xid = TwoPhaseGetXidByVirtualXID(transaction, &more);
		holder.prepared = xid;
		return TransactionIdIsValid(xid);
	}
	holder.pid = proc->pid;
	holder.autovacuum = (proc->statusFlags & PROC_IS_AUTOVACUUM) != 0;
	holder.wraparound = (proc->statusFlags & PROC_VACUUM_FOR_WRAPAROUND) != 0;
	holder.age_ms = transaction_age_ms(status_of(holder.pid));
	holder.waits_ms = wait_of(proc);
	return true;
}

// As HAS_PGSTAT_PERMISSIONS() of pgstatfuncs.c.
bool may_see(Oid role)
{
	return has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS) ||
		   has_privs_of_role(GetUserId(), role);
}

List *blocking_pids(int pid)
{
	ArrayType *pids = DatumGetArrayTypeP(DirectFunctionCall1(pg_blocking_pids, Int32GetDatum(pid)));
	const auto *values = reinterpret_cast<const int32 *>(ARR_DATA_PTR(pids));
	List *list = NIL;
	for (int i = 0; i < ArrayGetNItems(ARR_NDIM(pids), ARR_DIMS(pids)); i++)
		list = lappend_int(list, values[i]);
	return list;
}

// Itself or by way of others; as far as this process stands in no queue.
bool waits_for_me(int pid)
{
	constexpr int far_enough = 50;
	List *pids = list_make1_int(pid);
	for (int i = 0; i < std::min(list_length(pids), far_enough); i++) {
		List *blockers = blocking_pids(list_nth_int(pids, i));
		if (list_member_int(blockers, MyProcPid))
			return true;
		pids = list_concat_unique_int(pids, blockers);
	}
	return false;
}

// His own look for a deadlock comes after deadlock_timeout.
WaitsForUs waits_for_us(const LockHolder &holder)
{
	constexpr int late_ms = 300; // on a busy machine
	if (holder.waits_ms < 0 || !waits_for_me(holder.pid))
		return WaitsForUs::no;
	return holder.waits_ms > DeadlockTimeout + late_ms ? WaitsForUs::for_long : WaitsForUs::lately;
}

const char *state_name(BackendState state)
{
	switch (state) {
		case STATE_IDLE:
			return "idle";
		case STATE_RUNNING:
			return "active";
		case STATE_IDLEINTRANSACTION:
			return "idle in transaction";
		case STATE_FASTPATH:
			return "fastpath function call";
		case STATE_IDLEINTRANSACTION_ABORTED:
			return "idle in transaction (aborted)";
		default:
			return nullptr;
	}
}

// One row of pg_prepared_xact(): the gid, if it is that transaction's.
const char *gid_in_row(HeapTupleHeader row, TransactionId transaction)
{
	bool null = false;
	const Datum number = GetAttributeByNum(row, 1, &null);
	if (null || DatumGetTransactionId(number) != transaction)
		return nullptr;
	const Datum gid = GetAttributeByNum(row, 2, &null);
	return null ? nullptr : TextDatumGetCString(gid);
}

// As pg_prepared_xacts tells, without a query.  nullptr: it has ended.
const char *gid_of(TransactionId transaction)
{
	LOCAL_FCINFO(call, 0);
	FmgrInfo function;
	ReturnSetInfo rows = {};
	fmgr_info(F_PG_PREPARED_XACT, &function);
	rows.type = T_ReturnSetInfo;
	rows.econtext = CreateStandaloneExprContext();
	rows.allowedModes = SFRM_ValuePerCall;
	rows.returnMode = SFRM_ValuePerCall;
	InitFunctionCallInfoData(*call, &function, 0, InvalidOid, nullptr,
							 reinterpret_cast<fmNodePtr>(&rows));
	const char *gid = nullptr;
	while (gid == nullptr) {
		call->isnull = false;
		rows.isDone = ExprSingleResult;
		const Datum row = FunctionCallInvoke(call);
		if (rows.isDone != ExprMultipleResult)
			break;
		gid = gid_in_row(DatumGetHeapTupleHeader(row), transaction);
	}
	FreeExprContext(rows.econtext, true);
	return gid;
}

} // namespace

LOCKTAG lock_tag_of(Oid class_id, Oid object)
{
	LOCKTAG tag;
	if (OidIsValid(class_id))
		SET_LOCKTAG_OBJECT(tag, MyDatabaseId, class_id, object, 0);
	else
		SET_LOCKTAG_RELATION(tag, MyDatabaseId, object);
	return tag;
}

LockHolder *conflicting_holders(Oid object, LOCKMODE mode, int *n, Oid class_id)
{
	return conflicting_holders(lock_tag_of(class_id, object), mode, n);
}

LockHolder *conflicting_holders(const LOCKTAG &tag, LOCKMODE mode, int *n)
{
	int found = 0;
	const VirtualTransactionId *transactions = GetLockConflicts(&tag, mode, &found);
	auto *holders = static_cast<LockHolder *>(palloc0(sizeof(LockHolder) * (found + 1)));

	if (found > 0)
		pgstat_clear_backend_activity_snapshot();
	*n = 0;
	for (int i = 0; i < found; i++) {
		if (find_holder(transactions[i], &holders[*n]))
			(*n)++;
	}
	return holders;
}

void add_obstacles(Oid object, LOCKMODE mode, Obstacles *all, Oid class_id)
{
	int n = 0;
	const LockHolder *holders = conflicting_holders(object, mode, &n, class_id);
	for (int k = 0; k < n; k++) {
		all->holders++;
		if (holders[k].autovacuum && !holders[k].wraparound)
			all->yielding++;
		else
			all->oldest_ms = std::max(all->oldest_ms, holders[k].age_ms);
		all->waits_for_us = std::max(all->waits_for_us, waits_for_us(holders[k]));
	}
}

void describe_holder(LockHolder *holder)
{
	if (holder->pid == 0) {
		holder->gid = gid_of(holder->prepared);
		return;
	}
	const PgBackendStatus *status = status_of(holder->pid);
	if (status == nullptr)
		return;
	if (OidIsValid(status->st_userid))
		holder->user = GetUserNameFromId(status->st_userid, true);
	if (status->st_appname != nullptr && status->st_appname[0] != '\0')
		holder->application = pstrdup(status->st_appname);
	if (!may_see(status->st_userid)) {
		holder->age_ms = -1;
		return;
	}
	holder->state = state_name(status->st_state);
	if (status->st_activity_raw != nullptr && status->st_activity_raw[0] != '\0')
		holder->query = pgstat_clip_activity(status->st_activity_raw);
}

bool holds_lock(Oid object, LOCKMODE mode, Oid class_id)
{
	LOCKTAG tag = lock_tag_of(class_id, object);
	for (LOCKMODE held = mode; held <= AccessExclusiveLock; held++)
		if (lock_held_by_me(&tag, held))
			return true;
	return false;
}

bool lock_object(Oid class_id, Oid object, LOCKMODE mode, bool at_once)
{
	LOCKTAG tag = lock_tag_of(class_id, object);
	if (LockAcquire(&tag, mode, false, at_once) == LOCKACQUIRE_NOT_AVAIL)
		return false;
	AcceptInvalidationMessages();
	return true;
}

Oid *strongly_locked_relations(int *n)
{
	int capacity = 8;
	auto *relations = static_cast<Oid *>(palloc(sizeof(Oid) * capacity));

	*n = 0;
	for (int partition = 0; partition < NUM_LOCK_PARTITIONS; partition++) {
		LWLock *lock = LockHashPartitionLockByIndex(partition);
		LWLockAcquire(lock, LW_SHARED);
		for (const PROCLOCK *held = next_own_proclock(partition, nullptr); held != nullptr;
			 held = next_own_proclock(partition, held)) {
			const LOCKTAG &tag = held->tag.myLock->tag;
			if (tag.locktag_type != LOCKTAG_RELATION || tag.locktag_field1 != MyDatabaseId ||
				tag.locktag_field2 < FirstNormalObjectId || (held->holdMask >> ShareLock) == 0)
				continue;
			if (*n == capacity) {
				capacity *= 2;
				relations = static_cast<Oid *>(repalloc(relations, sizeof(Oid) * capacity));
			}
			relations[(*n)++] = tag.locktag_field2;
		}
		LWLockRelease(lock);
	}
	return relations;
}

bool lock_wait_of(PGPROC *proc, LockWait *wait)
{
	const LOCK *lock = *const_cast<LOCK *const volatile *>(&proc->waitLock);
	if (lock == nullptr)
		return false;
	const TimestampTz since = static_cast<TimestampTz>(pg_atomic_read_u64(&proc->waitStart));
	wait->tag = lock->tag;
	wait->mode = proc->waitLockMode;
	wait->since = since != 0 ? since : GetCurrentTimestamp(); // not yet written
	return *const_cast<LOCK *const volatile *>(&proc->waitLock) == lock;
}

bool next_lock_waiter(uint32 *position, LockWaiter *waiter)
{
	while (*position < ProcGlobal->allProcCount) {
		PGPROC *proc = &ProcGlobal->allProcs[(*position)++];
		LockWait wait;
		if (proc == MyProc || !lock_wait_of(proc, &wait) ||
			wait.tag.locktag_type != LOCKTAG_RELATION || wait.tag.locktag_field1 != MyDatabaseId)
			continue;
		*waiter = {proc->pid, wait.tag.locktag_field2, wait.mode, wait.since};
		return true;
	}
	return false;
}

const char *lock_mode_name(LOCKMODE mode)
{
	static constexpr const char *names[] = {
		"no",	 "ACCESS SHARE",		"ROW SHARE", "ROW EXCLUSIVE",	"SHARE UPDATE EXCLUSIVE",
		"SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE"};
	return mode >= 0 && mode <= AccessExclusiveLock ? names[mode] : "unknown";
}

} // namespace safe_migrate::pg
