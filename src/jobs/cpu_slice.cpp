// See cpu_slice.hpp.
#include "jobs/cpu_slice.hpp"

#include <cstdint>

#ifdef __linux__
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace safe_migrate::jobs {

namespace {

// struct sched_attr of sched_setattr(2), which has no wrapper in the C library before glibc 2.41.
struct SchedulingAttributes {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period; // ns
};
constexpr uint64_t longest_slice_ns = 100'000'000;

} // namespace

void prefer_others_on_cpu()
{
#if defined(SYS_sched_getattr) && defined(SYS_sched_setattr)
	SchedulingAttributes own = {};
	constexpr unsigned no_flags = 0;
	if (syscall(SYS_sched_getattr, 0, &own, sizeof own, no_flags) != 0 ||
		(own.policy != SCHED_OTHER && own.policy != SCHED_BATCH))
		return;
	own.size = sizeof own;
	own.runtime = longest_slice_ns;
	(void)syscall(SYS_sched_setattr, 0, &own, no_flags);
#endif
}

} // namespace safe_migrate::jobs
