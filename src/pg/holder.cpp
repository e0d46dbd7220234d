// See holder.hpp.
#include "pg/holder.hpp"

#include "pg/clip.hpp"
#include "pg/lock_table.hpp"
#include "pg/sql.hpp"

extern "C" {
#include "access/subtrans.h"
#include "access/transam.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"
}

namespace safe_migrate::pg {

namespace {

Holder session(int pid)
{
	Holder holder = {};
	holder.pid = pid;
	snprintf(holder.name, sizeof holder.name, "process %d", pid);
	return holder;
}

// Not to be found where it has just ended.
Holder prepared_transaction(TransactionId xid)
{
	Holder holder = {};
	const Arg args[] = {arg_xid(xid)};
	query("SELECT pg_catalog.concat('prepared transaction \"', gid, '\"', ' of role \"' || owner "
		  "|| '\"',"
		  " ' since ', pg_catalog.date_trunc('second', prepared))"
		  " FROM pg_catalog.pg_prepared_xacts WHERE transaction = $1",
		  args, lengthof(args), [&](HeapTuple t, TupleDesc d) {
			  copy_clipped(holder.name, sizeof holder.name, column_text(t, d, 1));
		  });
	return holder;
}

Holder one_of(const LockHolder *holders, int n)
{
	for (int i = 0; i < n; i++)
		if (holders[i].pid != 0)
			return session(holders[i].pid);
	return n > 0 ? prepared_transaction(holders[0].prepared) : Holder{};
}

} // namespace

Holder holder_of_transaction(TransactionId xid)
{
	if (!TransactionIdIsNormal(xid) || !TransactionIdIsInProgress(xid))
		return {};
	TransactionId top = SubTransGetTopmostTransaction(xid);
	int pid = BackendXidGetPid(top);
	return pid != 0 ? session(pid) : prepared_transaction(top);
}

Holder holder_of_relations(const Oid *relations, int n, LOCKMODE mode)
{
	Holder prepared = {};
	for (int i = 0; i < n; i++) {
		LOCKTAG tag;
		SET_LOCKTAG_RELATION(tag, MyDatabaseId, relations[i]);
		Holder holder = holder_of_lock(tag, mode);
		if (holder.pid != 0)
			return holder;
		if (prepared.name[0] == '\0')
			prepared = holder;
	}
	return prepared;
}

Holder holder_of_lock(const LOCKTAG &tag, LOCKMODE mode)
{
	if (tag.locktag_type == LOCKTAG_TRANSACTION)
		return holder_of_transaction(tag.locktag_field1);
	int n = 0;
	const LockHolder *holders = conflicting_holders(tag, mode, &n);
	return one_of(holders, n);
}

char *describe_row_holder(const ItemPointerData *tid, const char *table, TransactionId xid)
{
	char *where = psprintf("(%u,%u)%s%s%s", ItemPointerGetBlockNumberNoCheck(tid),
						   ItemPointerGetOffsetNumberNoCheck(tid), table ? " of table \"" : "",
						   table ? table : "", table ? "\"" : "");
	if (!TransactionIdIsNormal(xid))
		return where;
	Holder holder = holder_of_transaction(xid);
	if (holder.pid != 0)
		return psprintf("ctid %s, by pid %d (transaction %u)", where, holder.pid, xid);
	if (holder.name[0] != '\0')
		return psprintf("ctid %s, by %s (transaction %u)", where, holder.name, xid);
	return psprintf("ctid %s, by transaction %u", where, xid);
}

// ---------------------------------------------------------------- what this process waits for

namespace {

TimeoutId timeout_id;
bool timeout_registered = false;
volatile bool seen = false; // the rest is written by the handler alone
LOCKTAG seen_tag;
LOCKMODE seen_mode;

// In the signal handler.  While this process waits, nobody frees the lock; where it does not, an
// earlier one is as good as none.
void look()
{
	const LOCK *lock = *const_cast<LOCK *const volatile *>(&MyProc->waitLock);
	if (lock == nullptr)
		return;
	seen_tag = lock->tag;
	seen_mode = MyProc->waitLockMode;
	seen = true;
}

} // namespace

void watch_lock_waits(int every_ms)
{
	if (!timeout_registered) {
		timeout_id = RegisterTimeout(USER_TIMEOUT, look);
		timeout_registered = true;
	}
	seen = false;
	if (every_ms > 0)
		enable_timeout_every(
			timeout_id, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), every_ms), every_ms);
}

void stop_watching()
{
	if (timeout_registered)
		disable_timeout(timeout_id, false);
}

bool awaited_lock(LOCKTAG *tag, LOCKMODE *mode)
{
	if (!seen)
		return false;
	*tag = seen_tag;
	*mode = seen_mode;
	return true;
}

} // namespace safe_migrate::pg
