// See paused_waits.hpp.  A search through the processes, by what each waits for and who holds that;
// places in the queues don't count.
#include "pg/paused_waits.hpp"

#include "pg/compat.hpp"
#include "pg/compat_locks.hpp"
#include "pg/lock_table.hpp"
#include "pg/shared_area.hpp"

extern "C" {
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"
}

namespace safe_migrate::pg {

namespace {

// Of one process; one that ended without a word is known by its transaction.
struct Slot {
	int pid;
	LocalTransactionId transaction;
	uint64 number;	// of the wait, in the order in which they began; 0 = none
	uint64 changes; // grows with each
	bool in_queue;
	PausedWait wait;
};

struct Shared {
	LWLock *lock;
	uint64 waits; // that there were
	Slot slots[FLEXIBLE_ARRAY_MEMBER];
};

Shared *shared = nullptr;
uint64 own_number = 0;

Size shared_size()
{
	return add_size(offsetof(Shared, slots), mul_size(MaxBackends, sizeof(Slot)));
}

void attach(void *memory, LWLock *lock)
{
	shared = static_cast<Shared *>(memory);
	if (lock)
		shared->lock = lock;
}

constexpr SharedArea area = {"safe_migrate waits", shared_size, attach};

// Prepared transactions and the server's own processes, which come after the others, have none.
int place_of(const PGPROC *proc) { return static_cast<int>(proc - ProcGlobal->allProcs); }

bool has_slot(const PGPROC *proc) { return shared != nullptr && place_of(proc) < MaxBackends; }

template <class Change> void change_own_slot(Change &&change)
{
	if (!has_slot(MyProc))
		return;
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	if (own_number == 0)
		own_number = ++shared->waits;
	Slot &slot = shared->slots[place_of(MyProc)];
	slot.pid = MyProcPid;
	slot.transaction = my_local_transaction_id();
	slot.number = own_number;
	slot.changes++;
	change(&slot);
	LWLockRelease(shared->lock);
}

// ---------------------------------------------------------------- what others wait for

struct Wait {
	uint64 number; // of a wait outside of the queues; 0 = in one
	uint64 moment; // changes, or begin in the queue: another one is another wait
	PausedWait locks;
};

bool read_slot(const PGPROC *proc, Slot *slot)
{
	if (!has_slot(proc))
		return false;
	LWLockAcquire(shared->lock, LW_SHARED);
	*slot = shared->slots[place_of(proc)];
	LWLockRelease(shared->lock);
	return slot->number != 0 && slot->pid == proc->pid &&
		   slot->transaction == local_transaction_of(proc);
}

// Who has not waited in a queue for long may give up by himself.
bool wait_of(PGPROC *proc, Wait *wait)
{
	*wait = {};
	Slot slot;
	if (read_slot(proc, &slot)) {
		*wait = {slot.number, slot.changes, slot.wait};
		return !slot.in_queue && slot.number < own_number;
	}
	LockWait queued;
	if (!lock_wait_of(proc, &queued) ||
		!TimestampDifferenceExceeds(queued.since, GetCurrentTimestamp(), DeadlockTimeout))
		return false;
	wait->moment = static_cast<uint64>(queued.since);
	wait->locks.locks[0] = {queued.tag, queued.mode};
	wait->locks.n = 1;
	return true;
}

bool is_held_by_me(const AwaitedLock &lock)
{
	if (lock.tag.locktag_type == LOCKTAG_VIRTUALTRANSACTION) {
		VirtualTransactionId mine;
		LOCKTAG tag;
		GET_VXID_FROM_PGPROC(mine, *MyProc);
		SET_LOCKTAG_VIRTUALTRANSACTION(tag, mine);
		return memcmp(&tag, &lock.tag, sizeof tag) == 0;
	}
	for (LOCKMODE held = AccessShareLock; held <= AccessExclusiveLock; held++)
		if (DoLockModesConflict(held, lock.mode) && lock_held_by_me(&lock.tag, held))
			return true;
	return false;
}

// ---------------------------------------------------------------- the search

struct Node {
	PGPROC *proc;
	int pid;
	int parent;
	AwaitedLock reached_by; // what the parent waits for, and this one holds
	bool by_paused;			// one of those on the way is, or this one
	Wait wait;
};

struct Search {
	Node *nodes;
	int n;
	bool *seen; // by way of one who is paused, or not
};

void reach(Search *search, PGPROC *proc, int parent, const AwaitedLock &lock)
{
	Node &node = search->nodes[search->n];
	node = {proc, proc->pid, parent, lock, search->nodes[parent].by_paused, {}};
	if (proc == MyProc || !has_slot(proc) || !wait_of(proc, &node.wait))
		return;
	node.by_paused = node.by_paused || node.wait.number != 0;
	bool &seen = search->seen[2 * place_of(proc) + (node.by_paused ? 1 : 0)];
	if (!seen)
		search->n++;
	seen = true;
}

void reach_holders(Search *search, int parent, const AwaitedLock &lock)
{
	int n = 0;
	const VirtualTransactionId *holders = GetLockConflicts(&lock.tag, lock.mode, &n);
	for (int i = 0; i < n; i++) {
		PGPROC *proc = proc_of(holders[i]);
		if (proc != nullptr && proc != search->nodes[parent].proc &&
			local_transaction_of(proc) == holders[i].localTransactionId)
			reach(search, proc, parent, lock);
	}
}

// While the search went on nobody of them has got, given back or given up anything.
bool is_still_there(const Search &search, int last)
{
	for (int i = last; i > 0; i = search.nodes[i].parent) {
		const Node &node = search.nodes[i];
		Wait now;
		if (!wait_of(node.proc, &now) || node.proc->pid != node.pid ||
			now.number != node.wait.number || now.moment != node.wait.moment)
			return false;
	}
	return true;
}

void add_line(StringInfo text, int waiter, const AwaitedLock &lock, int holder)
{
	StringInfoData object;
	initStringInfo(&object);
	DescribeLockTag(&object, &lock.tag);
	if (text->len > 0)
		appendStringInfoChar(text, '\n');
	appendStringInfo(text, _("Process %d waits for %s on %s; blocked by process %d."), waiter,
					 GetLockmodeName(lock.tag.locktag_lockmethodid, lock.mode), object.data,
					 holder);
}

void add_way(StringInfo text, const Search &search, int last)
{
	const Node &node = search.nodes[last];
	if (last == 0)
		return;
	add_way(text, search, node.parent);
	add_line(text, search.nodes[node.parent].pid, node.reached_by, node.pid);
}

char *describe(const Search &search, int last, const AwaitedLock &closing)
{
	StringInfoData text;
	initStringInfo(&text);
	add_way(&text, search, last);
	add_line(&text, search.nodes[last].pid, closing, MyProcPid);
	return text.data;
}

// Looks at one who waits: for this process?
char *follow(Search *search, int at)
{
	const PausedWait &awaited = search->nodes[at].wait.locks;
	for (int i = 0; i < awaited.n; i++) {
		const AwaitedLock &lock = awaited.locks[i];
		if (at == 0 || !search->nodes[at].by_paused || !is_held_by_me(lock))
			reach_holders(search, at, lock);
		else if (is_still_there(*search, at))
			return describe(*search, at, lock);
	}
	return nullptr;
}

} // namespace

void add_awaited(PausedWait *wait, Oid object, LOCKMODE mode, Oid class_id)
{
	if (wait->n < PausedWait::most)
		wait->locks[wait->n++] = {lock_tag_of(class_id, object), mode};
}

void install_paused_waits() { add_shared_area(&area); }

void wait_outside(const PausedWait &wait)
{
	change_own_slot([&wait](Slot *slot) {
		slot->in_queue = false;
		slot->wait = wait;
	});
}

void wait_in_queue()
{
	change_own_slot([](Slot *slot) { slot->in_queue = true; });
}

void end_wait()
{
	if (own_number != 0)
		change_own_slot([](Slot *slot) { slot->number = 0; });
	own_number = 0;
}

char *deadlock_of(const PausedWait &wait)
{
	if (own_number == 0)
		wait_in_queue();
	if (!has_slot(MyProc))
		return nullptr;
	const int places = 2 * MaxBackends;
	Search search = {};
	search.nodes = static_cast<Node *>(palloc(sizeof(Node) * (places + 2)));
	search.seen = static_cast<bool *>(palloc0(sizeof(bool) * places));
	search.nodes[0] = {MyProc, MyProcPid, 0, {}, false, {0, 0, wait}};
	search.n = 1;
	char *found = nullptr;
	for (int at = 0; at < search.n && found == nullptr; at++)
		found = follow(&search, at);
	return found;
}

} // namespace safe_migrate::pg
