// What differs between the majors in the lock table, and in who may lock what: see compat.hpp.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/acl.h"
}

namespace safe_migrate::pg {

// The locks in the shared table that this process holds or waits for, one partition at a time
// (under its LWLock): the one after `last`, the first one after nullptr; nullptr when there are no
// more.
inline const PROCLOCK *next_own_proclock(int partition, const PROCLOCK *last)
{
#if PG_VERSION_NUM >= 160000
	// dlist_container() is not C++
	const dlist_node *head = &MyProc->myProcLocks[partition].head;
	const dlist_node *node = last != nullptr ? last->procLink.next : head->next;
	if (node == nullptr || node == head)
		return nullptr;
	return reinterpret_cast<const PROCLOCK *>(reinterpret_cast<const char *>(node) -
											  offsetof(PROCLOCK, procLink));
#else
	SHM_QUEUE *list = &MyProc->myProcLocks[partition];
	const SHM_QUEUE *from = last != nullptr ? &last->procLink : list;
	return reinterpret_cast<const PROCLOCK *>(
		SHMQueueNext(list, from, offsetof(PROCLOCK, procLink)));
#endif
}

// The number of the transaction that the process runs, as in VirtualTransactionId.
inline LocalTransactionId local_transaction_of(const PGPROC *proc)
{
#if PG_VERSION_NUM >= 170000
	return proc->vxid.lxid;
#else
	return proc->lxid;
#endif
}

inline bool owns_relation(Oid relation)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(RelationRelationId, relation, GetUserId());
#else
	return pg_class_ownercheck(relation, GetUserId());
#endif
}

inline bool owns_schema(Oid schema)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(NamespaceRelationId, schema, GetUserId());
#else
	return pg_namespace_ownercheck(schema, GetUserId());
#endif
}

// REINDEX, CLUSTER, VACUUM FULL, REFRESH, LOCK of somebody else's relation.
inline bool has_maintain_privilege(Oid relation, Oid role)
{
#if PG_VERSION_NUM >= 170000
	return pg_class_aclcheck(relation, role, ACL_MAINTAIN) == ACLCHECK_OK;
#else
	return false;
#endif
}

} // namespace safe_migrate::pg
