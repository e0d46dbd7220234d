// Wakes at commit: see at_commit.hpp.
#include "jobs/at_commit.hpp"

#include "jobs/shared.hpp"
#include "pg/boundary.hpp"
#include "pg/sql.hpp"

extern "C" {
#include "access/xact.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_extension.h"
#include "nodes/pg_list.h"
#include "utils/resowner.h"
}

namespace safe_migrate::jobs {

namespace {

// Ids wait here for the end of the transaction.  More than fit share one wake of the scheduler,
// which looks at all jobs anyway.
constexpr int room = 64;
JobId waiting[room];
int n_waiting = 0;
bool wake_database = false;
bool extension_dropped = false; // with all jobs
bool wake_all = false;			// it was: once the others' caches are told
object_access_hook_type previous_hook = nullptr;

void on_object_access(ObjectAccessType access, Oid class_id, Oid object, int sub_id, void *arg)
{
	if (previous_hook)
		previous_hook(access, class_id, object, sub_id, arg);
	if (access == OAT_DROP && class_id == ExtensionRelationId)
		pg::entry(
			[object] { extension_dropped = extension_dropped || object == pg::extension_oid(); });
}

void at_end(XactEvent event, void *)
{
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
		return;
	if (event == XACT_EVENT_COMMIT && shared) {
		for (int i = 0; i < n_waiting; i++)
			wake_job(MyDatabaseId, waiting[i]);
		if (wake_database)
			wake_scheduler(MyDatabaseId);
		wake_all = extension_dropped;
	}
	n_waiting = 0;
	wake_database = false;
	extension_dropped = false;
}

// CommitTransaction(): after AtEOXact_Inval().  Who is woken before may find it in a cache (18).
void after_locks(ResourceReleasePhase phase, bool, bool is_top_level, void *)
{
	if (phase != RESOURCE_RELEASE_AFTER_LOCKS || !is_top_level || !wake_all)
		return;
	wake_all = false;
	wake_jobs(MyDatabaseId);
}

} // namespace

void install_at_commit()
{
	RegisterXactCallback(at_end, nullptr);
	RegisterResourceReleaseCallback(after_locks, nullptr);
	previous_hook = object_access_hook;
	object_access_hook = on_object_access;
}

void wake_at_commit(JobId id)
{
	for (int i = 0; i < n_waiting; i++)
		if (waiting[i] == id)
			return;
	if (n_waiting < room)
		waiting[n_waiting++] = id;
	else
		wake_database = true;
}

} // namespace safe_migrate::jobs
