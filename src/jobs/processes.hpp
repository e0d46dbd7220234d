// The three kinds of background processes and how they are started:
// launcher (one a cluster) → scheduler (one a database with work) → workers.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "postmaster/bgworker.h"
}

namespace safe_migrate::jobs {

void register_launcher(); // from _PG_init, preloaded only

// Starts a dynamic process; its latch-holder is told of start and end. nullptr = no free slot of
// max_worker_processes.
BackgroundWorkerHandle *start_process(const char *type, const char *function, Oid database,
									  int slot);
void set_up_signals(bool cancellable);

// From a process that is about to end: why.  Kept for the job where it is the leading worker of
// one.
void keep_last_words(const char *why);

// ALTER ROLE and ALTER DATABASE … SET reach workers: undoes what would break a job.
void force_settings();

} // namespace safe_migrate::jobs
