// Claims as heavyweight locks: see claim.hpp.
#include "jobs/claim.hpp"

#include "pg/compat.hpp"

extern "C" {
#include "access/xact.h"
#include "catalog/namespace.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/lsyscache.h"
}

namespace safe_migrate::jobs {

namespace {

// Objects of "classes" job and slice of this database, as LockDatabaseObject() would lock them.
LOCKTAG tag_of(const char *table, JobId id, int step_no, int slice_no)
{
	Oid schema = get_namespace_oid("safe_migrate", false);
	LOCKTAG tag;
	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, get_relname_relid(table, schema), static_cast<uint32>(id),
					   static_cast<uint16>(step_no * 8192 + slice_no));
	return tag;
}

bool claim(const LOCKTAG &tag)
{
	return pg::lock_held_by_me(&tag, ExclusiveLock) ||
		   LockAcquire(&tag, ExclusiveLock, true, true) != LOCKACQUIRE_NOT_AVAIL;
}

} // namespace

bool claim_job(JobId id) { return claim(tag_of("job", id, 0, 0)); }

bool claim_slice(JobId id, int step_no, int slice_no)
{
	return claim(tag_of("slice", id, step_no, slice_no));
}

void release_slice(JobId id, int step_no, int slice_no)
{
	LOCKTAG tag = tag_of("slice", id, step_no, slice_no);
	if (pg::lock_held_by_me(&tag, ExclusiveLock))
		(void)LockRelease(&tag, ExclusiveLock, true);
}

} // namespace safe_migrate::jobs
