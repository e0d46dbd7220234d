// Set-up and look-ups of the shared memory described in shared.hpp.
#include "jobs/shared.hpp"

#include "pg/clip.hpp"
#include "pg/compat.hpp"
#include "pg/shared_area.hpp"

extern "C" {
#include "storage/latch.h"
#include "utils/timestamp.h"
}

#include <csignal>

namespace safe_migrate::jobs {

Shared *shared = nullptr;

namespace {

void attach(void *memory, LWLock *lock)
{
	shared = static_cast<Shared *>(memory);
	if (!lock)
		return;
	shared->lock = lock;
	ConditionVariableInit(&shared->changed);
	pg_atomic_init_u64(&shared->worker_transactions, 0);
	pg_atomic_init_u64(&shared->wal_segment, 0);
}

constexpr pg::SharedArea area = {"safe_migrate", [] { return sizeof(Shared); }, attach};

} // namespace

void install_shared_memory() { pg::add_shared_area(&area); }

void require_preload()
{
	if (shared)
		return;
	const char *others = shared_preload_libraries_string ? shared_preload_libraries_string : "";
	ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("safe_migrate must be loaded when the server starts"),
					errhint("Add this line to postgresql.conf and restart the server: "
							"shared_preload_libraries = '%s%ssafe_migrate'",
							others, others[0] == '\0' ? "" : ", ")));
}

Database *find_database(Oid oid, bool create)
{
	Database *free_entry = nullptr;
	for (Database &entry : shared->databases) {
		if (entry.oid == oid)
			return &entry;
		bool idle = !entry.wanted && entry.scheduler_pid == 0 && entry.bars == 0;
		if (!free_entry && (entry.oid == InvalidOid || (create && idle && entry.started == 0)))
			free_entry = &entry;
	}
	if (!create || !free_entry)
		return nullptr;
	*free_entry = Database{};
	free_entry->oid = oid;
	return free_entry;
}

namespace {

// How little is lost by giving a job's entry to another one; 0 = may not be taken.
int spare_rank(const LiveJob &job, bool at_work)
{
	if (job.home.database == InvalidOid)
		return 4;
	if (is_final(job.state))
		return 3;
	if (job.state == JobState::paused)
		return 2;
	return at_work && job.state == JobState::queued && !find_worker(job.home.database, job.id, 0)
			   ? 1
			   : 0;
}

LiveJob *take_entry(const Home &home, JobId id, bool at_work)
{
	LiveJob *candidate = nullptr;
	int best = 0;
	for (LiveJob &job : shared->jobs) {
		int rank = spare_rank(job, at_work);
		if (rank > best || (rank > 0 && rank == best && job.changed < candidate->changed)) {
			candidate = &job;
			best = rank;
		}
	}
	if (!candidate)
		return nullptr;
	*candidate = LiveJob{};
	candidate->home = home;
	candidate->id = id;
	candidate->replica_lag_us = -1;
	candidate->changed = GetCurrentTimestamp();
	return candidate;
}

LiveJob *find_or_take(const Home &home, JobId id, bool create, bool at_work)
{
	for (LiveJob &job : shared->jobs)
		if (job.home == home && job.id == id)
			return &job;
	return create ? take_entry(home, id, at_work) : nullptr;
}

} // namespace

LiveJob *find_live_job(const Home &home, JobId id, bool create)
{
	return find_or_take(home, id, create, false);
}

LiveJob *live_job_at_work(const Home &home, JobId id) { return find_or_take(home, id, true, true); }

void forget_database(Oid database)
{
	if (Database *entry = find_database(database, false))
		*entry = Database{};
	for (LiveJob &job : shared->jobs)
		if (job.home.database == database)
			job = LiveJob{};
	for (LiveWorker &worker : shared->workers)
		if (worker.used && worker.home.database == database)
			worker = LiveWorker{};
}

LiveWorker *find_worker(Oid database, JobId id, int number)
{
	for (LiveWorker &worker : shared->workers)
		if (worker.used && worker.home.database == database && worker.job == id &&
			worker.number == number)
			return &worker;
	return nullptr;
}

int count_workers(Oid database, JobId id)
{
	int n = 0;
	for (const LiveWorker &worker : shared->workers)
		if (worker.used &&
			(database == InvalidOid || (worker.home.database == database && worker.job == id)))
			n++;
	return n;
}

void set_text(char *to, size_t size, const char *from)
{
	pg::copy_clipped(to, size, from ? from : "");
}

void wake_scheduler(Oid database)
{
	Guard guard;
	Database *entry = find_database(database, true);
	if (entry) {
		entry->wanted = true;
		entry->retry_at = 0;
	}
	if (entry && entry->scheduler_pid != 0 && entry->latch)
		SetLatch(entry->latch);
	else if (shared->launcher_latch)
		SetLatch(shared->launcher_latch);
}

namespace {

void wake(Oid database, bool all, JobId id)
{
	{
		Guard guard;
		for (LiveJob &job : shared->jobs)
			if (job.home.database == database && (all || job.id == id))
				job.control++;
		for (LiveWorker &worker : shared->workers)
			if (worker.used && worker.home.database == database && (all || worker.job == id) &&
				worker.latch)
				SetLatch(worker.latch);
	}
	wake_scheduler(database);
}

} // namespace

void wake_job(Oid database, JobId id) { wake(database, false, id); }

void wake_jobs(Oid database) { wake(database, true, 0); }

namespace {

bool stops_for(const LiveWorker &worker, InStatement kind)
{
	if (worker.in_statement != InStatement::none)
		return worker.in_statement >= kind;
	return worker.overdue_at != 0 && GetCurrentTimestamp() >= worker.overdue_at;
}

} // namespace

void interrupt_statements(Oid database, JobId id, InStatement kind)
{
	Guard guard(LW_SHARED);
	for (const LiveWorker &worker : shared->workers)
		if (worker.used && worker.home.database == database && worker.job == id &&
			worker.pid != 0 && stops_for(worker, kind))
			kill(worker.pid, SIGINT);
}

void interrupt_repeatable(Oid database)
{
	Guard guard(LW_SHARED);
	for (const LiveWorker &worker : shared->workers)
		if (worker.used && worker.home.database == database && worker.pid != 0 &&
			stops_for(worker, InStatement::repeatable))
			kill(worker.pid, SIGINT);
}

void forget_other_jobs(const Home &home)
{
	bool any = false;
	{
		Guard guard;
		for (LiveJob &job : shared->jobs)
			if (job.home.database == home.database && !(job.home == home)) {
				job = LiveJob{};
				any = true;
			}
		for (const LiveWorker &worker : shared->workers)
			if (worker.used && worker.home.database == home.database && !(worker.home == home) &&
				worker.pid != 0 &&
				(worker.in_statement != InStatement::none || worker.overdue_at != 0))
				kill(worker.pid, SIGINT);
	}
	if (any)
		ConditionVariableBroadcast(&shared->changed);
}

void publish_state(const Home &home, JobId id, JobState state)
{
	{
		Guard guard;
		LiveJob *job =
			state == JobState::running ? live_job_at_work(home, id) : find_live_job(home, id, true);
		if (job) {
			job->state = state;
			job->changed = GetCurrentTimestamp();
			if (state != JobState::running) {
				job->condition = state == JobState::queued ? Condition::starting : Condition::none;
				job->detail[0] = '\0';
				job->waiting_for_pid = 0;
				job->workers_wanted = 0;
			}
		}
	}
	ConditionVariableBroadcast(&shared->changed);
}

} // namespace safe_migrate::jobs
