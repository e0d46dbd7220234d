// A worker's place among the processes of a busy machine.
#pragma once

namespace safe_migrate::jobs {

// Asks the scheduler of Linux for the longest slice (EEVDF, since 6.12): the worker loses no CPU
// time, but who has a shorter slice, as every client's backend, preempts it as soon as it wakes up
// instead of at the end of a tick.  Elsewhere nothing happens.
void prefer_others_on_cpu();

} // namespace safe_migrate::jobs
