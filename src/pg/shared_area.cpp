// See shared_area.hpp.
#include "pg/shared_area.hpp"

#include "pg/compat.hpp"

extern "C" {
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
}

namespace safe_migrate::pg {

namespace {

constexpr int most_areas = 4;
const SharedArea *areas[most_areas];
int n_areas = 0;
shmem_request_hook_type previous_request = nullptr;
shmem_startup_hook_type previous_startup = nullptr;

void request()
{
	if (previous_request)
		previous_request();
	for (int i = 0; i < n_areas; i++) {
		RequestAddinShmemSpace(MAXALIGN(areas[i]->size()));
		RequestNamedLWLockTranche(areas[i]->name, 1);
	}
}

void attach(const SharedArea &area)
{
	bool found;
	Size size = area.size();
	void *memory = ShmemInitStruct(area.name, size, &found);
	if (!found)
		memset(memory, 0, size);
	area.attach(memory, found ? nullptr : &(GetNamedLWLockTranche(area.name)->lock));
}

void startup()
{
	if (previous_startup)
		previous_startup();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	for (int i = 0; i < n_areas; i++)
		attach(*areas[i]);
	LWLockRelease(AddinShmemInitLock);
}

} // namespace

void add_shared_area(const SharedArea *area)
{
	Assert(n_areas < most_areas);
	if (n_areas == 0) {
		previous_request = shmem_request_hook;
		shmem_request_hook = request;
		previous_startup = shmem_startup_hook;
		shmem_startup_hook = startup;
	}
	areas[n_areas++] = area;
}

} // namespace safe_migrate::pg
