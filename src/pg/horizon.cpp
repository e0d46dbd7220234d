// The xmin horizon, and who holds a row: see horizon.hpp.
#include "pg/horizon.hpp"

#include "pg/compat.hpp"

extern "C" {
#include "access/subtrans.h"
#include "access/xact.h"
#include "storage/lock.h"
#include "storage/procarray.h"
}

namespace safe_migrate::pg {

bool is_past_horizon(TransactionId xid)
{
	return TransactionIdPrecedes(xid, GetOldestNonRemovableTransactionId(nullptr));
}

char *describe_lock_holder(const ItemPointerData *tid, TransactionId xid)
{
	char *where = psprintf("(%u,%u)", ItemPointerGetBlockNumberNoCheck(tid),
						   ItemPointerGetOffsetNumberNoCheck(tid));
	if (!TransactionIdIsNormal(xid))
		return where;
	int pid = 0;
	if (TransactionIdIsInProgress(xid))
		pid = BackendXidGetPid(SubTransGetTopmostTransaction(xid));
	if (pid == 0)
		return psprintf("ctid %s, by transaction %u", where, xid);
	return psprintf("ctid %s, by pid %d (transaction %u)", where, pid, xid);
}

int find_lock_holder(const Oid *relations, int n, int mode)
{
	for (int i = 0; i < n; i++) {
		LOCKTAG tag;
		SET_LOCKTAG_RELATION(tag, MyDatabaseId, relations[i]);
		int found = 0;
		VirtualTransactionId *holders = GetLockConflicts(&tag, mode, &found);
		for (int k = 0; k < found; k++) {
			int pid = pid_of(holders[k]);
			if (pid != 0 && pid != MyProcPid)
				return pid;
		}
	}
	return 0;
}

} // namespace safe_migrate::pg
