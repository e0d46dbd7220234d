// What differs between PostgreSQL majors, each as one small function with the newest
// server's name in snake_case.  Version #ifs stand here and nowhere else outside src/pg/.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "pgstat.h"
#include "replication/slot.h"
#include "utils/backend_status.h"
#include "access/htup_details.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "postmaster/bgworker.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "storage/sinvaladt.h"
#include "tcop/tcopprot.h"
#include "tcop/pquery.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/syscache.h"
}

namespace safe_migrate::pg {

// One of the entries of the local copy of the backends' status, from 0; made by the first look,
// dropped by pgstat_clear_snapshot().  nullptr when there are no more.
inline const PgBackendStatus *backend_status_by_index(int index)
{
	if (index >= pgstat_fetch_stat_numbackends())
		return nullptr;
#if PG_VERSION_NUM >= 160000
	LocalPgBackendStatus *entry = pgstat_get_local_beentry_by_index(index + 1);
#else
	LocalPgBackendStatus *entry = pgstat_fetch_stat_local_beentry(index + 1);
#endif
	return entry == nullptr ? nullptr : &entry->backendStatus;
}

// Under the slot's mutex.
inline bool slot_is_invalidated(const ReplicationSlot *slot)
{
#if PG_VERSION_NUM >= 160000
	return slot->data.invalidated != RS_INVAL_NONE;
#else
	return slot->data.invalidated_at != InvalidXLogRecPtr;
#endif
}

// Counters of checkpoints begun.
struct CheckpointCounters {
	int64 timed;
	int64 requested;
};

inline CheckpointCounters checkpoint_counters()
{
	const PgStat_CheckpointerStats *stats = pgstat_fetch_stat_checkpointer();
#if PG_VERSION_NUM >= 170000
	return {stats->num_timed, stats->num_requested};
#else
	return {stats->timed_checkpoints, stats->requested_checkpoints};
#endif
}

inline bool lock_held_by_me(const LOCKTAG *tag, LOCKMODE mode)
{
#if PG_VERSION_NUM >= 170000
	return LockHeldByMe(tag, mode, false);
#else
	return LockHeldByMe(tag, mode);
#endif
}

// The process behind a virtual transaction, nullptr when it is gone or was prepared.
inline PGPROC *proc_of(const VirtualTransactionId &transaction)
{
#if PG_VERSION_NUM >= 170000
	return ProcNumberGetProc(transaction.procNumber);
#else
	return BackendIdGetProc(transaction.backendId);
#endif
}

// Its pid, 0 when it is gone.
inline int pid_of(const VirtualTransactionId &transaction)
{
	PGPROC *proc = proc_of(transaction);
	return proc ? proc->pid : 0;
}

// The process that uses the slot, 0 = none.
inline int slot_user(const ReplicationSlot *slot)
{
#if PG_VERSION_NUM >= 190000
	return slot->active_proc != INVALID_PROC_NUMBER ? GetPGProcByNumber(slot->active_proc)->pid : 0;
#else
	return slot->active_pid;
#endif
}

// Of the transaction that is running; each backend counts its own.
inline LocalTransactionId my_local_transaction_id()
{
#if PG_VERSION_NUM >= 170000
	return MyProc->vxid.lxid;
#else
	return MyProc->lxid;
#endif
}

// Memory for the "extra" of a parameter's value, which the server frees.
inline void *guc_malloc_extra(size_t size)
{
#if PG_VERSION_NUM >= 160000
	return guc_malloc(LOG, size);
#else
	return malloc(size);
#endif
}

// To the end, as a top-level statement of its own.
inline void portal_run(Portal portal, DestReceiver *dest, QueryCompletion *completion)
{
#if PG_VERSION_NUM >= 180000
	(void)PortalRun(portal, FETCH_ALL, true, dest, dest, completion);
#else
	(void)PortalRun(portal, FETCH_ALL, true, true, dest, dest, completion);
#endif
}

// pqsignal()'s word for a signal that nobody looks at.
inline pqsigfunc ignore_signal()
{
#if PG_VERSION_NUM >= 190000
	return PG_SIG_IGN;
#else
	return SIG_IGN;
#endif
}

// What an invalidation's callback is told of its system cache.
#if PG_VERSION_NUM >= 190000
using SystemCache = SysCacheIdentifier;
#else
using SystemCache = int;
#endif

inline PlannedStmt *plan_query(Query *query, const char *text, int options = 0)
{
#if PG_VERSION_NUM >= 190000
	return pg_plan_query(query, text, options, nullptr, nullptr);
#else
	return pg_plan_query(query, text, options, nullptr);
#endif
}

// The line of an error's context that says what waited for a lock; from 19 on one before it names
// the lock.  nullptr where there is none.
inline const char *waiter_in_context(const char *context)
{
#if PG_VERSION_NUM >= 190000
	const char *end = context ? strchr(context, '\n') : nullptr;
	return end ? end + 1 : context;
#else
	return context;
#endif
}

// A database that a DROP DATABASE left half done.
inline bool database_is_invalid(Form_pg_database form) { return database_is_invalid_form(form); }

// Background workers can connect as roles that may not log in.
#if PG_VERSION_NUM >= 170000
inline constexpr bool can_bypass_login_check = true;
#else
inline constexpr bool can_bypass_login_check = false;
#endif

// SET ROLE would succeed.
inline bool may_set_role(Oid member, Oid role)
{
#if PG_VERSION_NUM >= 160000
	return member_can_set_role(member, role);
#else
	return is_member_of_role(member, role);
#endif
}

inline void connect_worker(Oid database, Oid role)
{
#if PG_VERSION_NUM >= 170000
	BackgroundWorkerInitializeConnectionByOid(database, role, BGWORKER_BYPASS_ROLELOGINCHECK);
#else
	BackgroundWorkerInitializeConnectionByOid(database, role, 0);
#endif
}

// The number of the relation's main file, which changes when it is rewritten.
inline Oid relfilenumber_of(Relation rel)
{
#if PG_VERSION_NUM >= 160000
	return rel->rd_locator.relNumber;
#else
	return rel->rd_node.relNode;
#endif
}

inline bool owns_database(Oid database)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(DatabaseRelationId, database, GetUserId());
#else
	return pg_database_ownercheck(database, GetUserId());
#endif
}

// The current user may drop, rename, move (or, as a template, copy) that database.
inline bool may_free_database(Oid database, bool as_template)
{
	if (owns_database(database))
		return true;
	HeapTuple role = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetUserId()));
	if (!HeapTupleIsValid(role))
		return false;
	bool may_create = reinterpret_cast<Form_pg_authid>(GETSTRUCT(role))->rolcreatedb;
	ReleaseSysCache(role);
	return as_template && may_create;
}

} // namespace safe_migrate::pg
