// The scheduler: one process in each database that has work.  Looks which jobs want a worker,
// starts workers up to safe_migrate.max_workers, samples the throttle signals while any of them
// runs, tells waiters of states that changed, and leaves when nothing is left to do.
#include "jobs/history.hpp"
#include "jobs/processes.hpp"
#include "jobs/rights.hpp"
#include "jobs/shared.hpp"
#include "jobs/state.hpp"
#include "jobs/store.hpp"
#include "jobs/throttle/signals.hpp"
#include "pg/boundary.hpp"
#include "pg/compat.hpp"
#include "pg/guc.hpp"
#include "pg/sql.hpp"
#include "pg/transaction.hpp"
#include "settings.hpp"

extern "C" {
#include "access/xact.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/timestamp.h"
}

namespace safe_migrate::jobs {

namespace {

constexpr long linger_ms = 10'000; // with nothing to do, before it leaves
constexpr long sample_ms = 200;	   // of the throttle signals, while workers run
constexpr int most_start_failures = 8;
constexpr int most_crashes = 5;		 // of the server, each within a minute of a start of one job
constexpr int most_failed_looks = 5; // at the jobs, in a row

BackgroundWorkerHandle *handles[max_live_workers];
throttle::SamplerState sampler;
int failed_looks = 0;
Home home = {}; // of the jobs, as of the last look

struct Round {
	bool any_active;		// some job has to be cared for
	TimestampTz look_again; // 0 = when woken
};

void look_again_at(Round *round, TimestampTz when)
{
	if (round->look_again == 0 || when < round->look_again)
		round->look_again = when;
}

bool take_place()
{
	Guard guard;
	Database *entry = find_database(MyDatabaseId, true);
	if (!entry || entry->scheduler_pid != 0 || entry->bars > 0)
		return false;
	entry->scheduler_pid = MyProcPid;
	entry->latch = MyLatch;
	entry->started = 0;
	entry->no_slot = false;
	entry->failures = 0;
	entry->retry_at = 0;
	return true;
}

void leave_place(int, Datum)
{
	Guard guard;
	Database *entry = find_database(MyDatabaseId, false);
	if (entry && entry->scheduler_pid == MyProcPid) {
		entry->scheduler_pid = 0;
		entry->latch = nullptr;
		if (shared->launcher_latch)
			SetLatch(shared->launcher_latch);
	}
}

void set_condition(JobId id, Condition condition, const char *detail)
{
	Guard guard;
	LiveJob *live = find_live_job(home, id, true);
	if (!live)
		return;
	live->condition = condition;
	set_text(live->detail, sizeof live->detail, detail);
}

enum class Reserve : uint8_t { taken, exists, full };

// A place among the cluster's workers for this job.
Reserve reserve_worker(const JobRow &job, int number, Oid connect_as, int *slot)
{
	Guard guard;
	if (find_worker(MyDatabaseId, job.id, number))
		return Reserve::exists;
	if (count_workers(InvalidOid, 0) >= settings::max_workers)
		return Reserve::full;
	for (int i = 0; i < max_live_workers; i++) {
		if (shared->workers[i].used || handles[i])
			continue;
		shared->workers[i] = LiveWorker{};
		shared->workers[i].used = true;
		shared->workers[i].home = home;
		shared->workers[i].job = job.id;
		shared->workers[i].number = number;
		shared->workers[i].connect_as = connect_as;
		shared->workers[i].owner = job.owner;
		if (LiveJob *live = number == 0 ? find_live_job(home, job.id, false) : nullptr)
			live->last_words[0] = '\0';
		*slot = i;
		return Reserve::taken;
	}
	return Reserve::full;
}

void release_worker(int slot)
{
	Guard guard;
	shared->workers[slot].used = false;
}

// Returns false when it could not be started now.
bool start_worker(const JobRow &job, int number, Oid connect_as, Round *round)
{
	int slot = -1;
	switch (reserve_worker(job, number, connect_as, &slot)) {
		case Reserve::exists:
			return true;
		case Reserve::full:
			if (number == 0) {
				set_condition(job.id, Condition::max_workers,
							  "safe_migrate.max_workers workers run already");
				look_again_at(round, GetCurrentTimestamp() + INT64CONST(1000000));
			}
			return false;
		case Reserve::taken:
			break;
	}
	handles[slot] =
		start_process("safe_migrate worker", "safe_migrate_worker_main", MyDatabaseId, slot);
	if (handles[slot])
		return true;
	release_worker(slot);
	if (number == 0)
		set_condition(job.id, Condition::no_worker_slot, "all of max_worker_processes are in use");
	look_again_at(round, GetCurrentTimestamp() + INT64CONST(1000000));
	return false;
}

// Workers that ended: their places become free, and a job whose worker ended without having
// changed its state is started again after a pause.
void reap_workers()
{
	for (int i = 0; i < max_live_workers; i++) {
		pid_t pid;
		if (handles[i] && GetBackgroundWorkerPid(handles[i], &pid) != BGWH_STOPPED)
			continue;
		if (handles[i])
			pfree(handles[i]);
		handles[i] = nullptr;
		Guard guard;
		LiveWorker &worker = shared->workers[i];
		// without a handle: started by an earlier scheduler of this database, and gone
		if (!worker.used || worker.home.database != MyDatabaseId || worker.pid != 0)
			continue;
		if (worker.number == 0 && !worker.ended_well) {
			if (LiveJob *live = find_live_job(worker.home, worker.job, false)) {
				live->start_failures++;
				live->not_before = GetCurrentTimestamp() + restart_pause_us(live->start_failures);
			}
		}
		worker.used = false;
	}
}

struct Seen {
	bool has_lead;
	int wanted;
	TimestampTz not_before;
	int failures;
	bool lead_seen;
	char last_words[sizeof LiveJob::last_words];
};

Seen look_at_live(const JobRow &job)
{
	Guard guard;
	LiveJob *live = find_live_job(home, job.id, true);
	if (!live)
		return {};
	bool queued_anew = job.state == JobState::queued && live->state != JobState::queued;
	if (queued_anew) {
		live->start_failures = 0;
		live->not_before = 0;
	}
	bool has_lead = find_worker(MyDatabaseId, job.id, 0) != nullptr;
	live->step_count = job.step_count;
	live->owner = job.owner;
	live->lead_seen = live->lead_seen || has_lead;
	if (!live->lead_seen && job.starts > live->start_failures) { // the server went down under it
		live->start_failures = job.starts;
		live->not_before = GetCurrentTimestamp() + restart_pause_us(job.starts);
	}
	Seen seen = {has_lead, live->workers_wanted, live->not_before, live->start_failures};
	seen.lead_seen = live->lead_seen;
	set_text(seen.last_words, sizeof seen.last_words, live->last_words);
	return seen;
}

// Not where somebody's open transaction holds the job's row: other jobs would wait with it.
template <class F> void change_row(const JobRow &job, Round *round, F &&change)
{
	ErrorData *error = pg::run_subtransaction([&] {
		pg::set_local("lock_timeout", "100ms");
		change();
	});
	if (!error)
		return;
	elog(LOG, "job " INT64_FORMAT ": %s", job.id, error->message);
	FreeErrorData(error);
	look_again_at(round, GetCurrentTimestamp() + INT64CONST(1000000));
}

void pause_job(const JobRow &job, const char *reason, Round *round)
{
	change_row(job, round, [&] { (void)move_job(job.id, Action::pause, InvalidOid, reason); });
}

const char *with_last_words(const char *what, const Seen &seen, const char *without)
{
	return seen.last_words[0] ? psprintf("%s: %s", what, seen.last_words)
							  : psprintf("%s%s", what, without);
}

void care_for(const JobRow &job, Round *round)
{
	if (!job.at_home) {
		publish_state(home, job.id, job.state);
		set_condition(job.id, Condition::foreign, job.state_reason);
		return;
	}
	Seen seen = look_at_live(job);
	if (job.state != JobState::running || !seen.has_lead)
		publish_state(home, job.id, job.state);
	round->any_active = true;
	const char *why = nullptr;
	Oid connect_as = connect_role(job.owner, job.session_role, &why);
	if (seen.has_lead) {
		for (int number = 1; number < seen.wanted && OidIsValid(connect_as); number++)
			if (!start_worker(job, number, connect_as, round))
				break;
		return;
	}
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz due = Max(job.retry_at, seen.not_before);
	if (!settings::enabled) {
		set_condition(job.id, Condition::disabled, "safe_migrate.enabled is off");
		return;
	}
	if (!OidIsValid(connect_as)) {
		pause_job(job, why, round);
		return;
	}
	if (seen.lead_seen && job.starts > 0) // it ended in order, whatever its reason
		change_row(job, round, [&] { forget_starts(job.id); });
	else if (job.starts > most_crashes) {
		pause_job(job, "the server crashed each time that it ran; see the server log", round);
		return;
	}
	if (seen.failures > most_start_failures) {
		pause_job(job,
				  with_last_words("its worker ended again and again without getting anywhere", seen,
								  "; see the server log"),
				  round);
		return;
	}
	if (due > now) {
		set_condition(job.id, Condition::retrying,
					  with_last_words("its worker ended and is started again", seen, ""));
		look_again_at(round, due);
		return;
	}
	set_condition(job.id, Condition::starting, nullptr);
	(void)start_worker(job, 0, connect_as, round);
}

// Jobs that somebody paused or cancelled, and rows that are gone: their waiters are told.
void publish_ended()
{
	JobId ids[max_live_jobs];
	int n = 0;
	{
		Guard guard(LW_SHARED);
		for (const LiveJob &live : shared->jobs)
			if (live.home == home && !is_final(live.state))
				ids[n++] = live.id;
	}
	for (int i = 0; i < n; i++) {
		JobRow *job = load_job(ids[i], false);
		bool has_lead;
		{
			Guard guard(LW_SHARED);
			has_lead = find_worker(MyDatabaseId, ids[i], 0) != nullptr;
		}
		if (!job)
			publish_state(home, ids[i], JobState::cancelled);
		else if (!has_lead && job->state != JobState::queued && job->state != JobState::running)
			publish_state(home, ids[i], job->state);
	}
}

// Workers that do not see that their job is over or paused.
void stop_workers(Round *round)
{
	JobId ids[max_live_workers];
	int n = 0;
	{
		Guard guard(LW_SHARED);
		for (const LiveWorker &worker : shared->workers)
			if (worker.used && worker.home == home)
				ids[n++] = worker.job;
	}
	for (int i = 0; i < n; i++) {
		const JobRow *job = load_job(ids[i], false);
		if (job && (job->state == JobState::queued || job->state == JobState::running))
			continue;
		interrupt_statements(MyDatabaseId, ids[i],
							 job && job->state == JobState::paused ? InStatement::repeatable
																   : InStatement::cancellable);
		look_again_at(round, GetCurrentTimestamp() + INT64CONST(1000000)); // a batch gets overdue
	}
}

bool look(Round *round)
{
	bool here = true;
	ErrorData *error = pg::run_transaction(
		[&] {
			home = {MyDatabaseId, pg::extension_oid()};
			here = OidIsValid(home.extension);
			forget_other_jobs(home);
			if (!here)
				return;
			JobList list = load_active_jobs();
			for (int i = 0; i < list.n; i++)
				care_for(list.rows[i], round);
			publish_ended();
			stop_workers(round);
		},
		LOG);
	if (error) {
		// the extension may have been dropped under us; else try again after a moment, but make
		// room for the schedulers of other databases when it does not help
		if (error->sqlerrcode == ERRCODE_UNDEFINED_TABLE ||
			error->sqlerrcode == ERRCODE_UNDEFINED_OBJECT || ++failed_looks >= most_failed_looks)
			here = false;
		FreeErrorData(error);
		round->any_active = true;
		look_again_at(round, GetCurrentTimestamp() + INT64CONST(1000000));
	} else
		failed_looks = 0;
	return here;
}

bool workers_run_here()
{
	Guard guard(LW_SHARED);
	for (const LiveWorker &worker : shared->workers)
		if (worker.used && worker.home.database == MyDatabaseId)
			return true;
	return false;
}

void sample()
{
	throttle::Readings readings;
	{
		Guard guard(LW_SHARED);
		readings = shared->readings;
	}
	throttle::sample_cluster(&readings, &sampler);
	Guard guard;
	shared->readings = readings;
}

// Nobody asked for anything since the last look: the place is given up in the same breath.
bool may_leave()
{
	Guard guard;
	Database *entry = find_database(MyDatabaseId, false);
	if (entry && entry->wanted && entry->bars == 0)
		return false;
	if (entry && entry->scheduler_pid == MyProcPid) {
		entry->scheduler_pid = 0;
		entry->latch = nullptr;
	}
	return true;
}

// Waits until woken or until something is due; samples the throttle signals meanwhile.
// Returns true when there is a reason to look at the jobs.
bool wait_for_work(const Round &round, bool *timed_out)
{
	bool busy = workers_run_here();
	long timeout = busy ? sample_ms : linger_ms;
	if (round.look_again != 0) {
		long due = static_cast<long>((round.look_again - GetCurrentTimestamp()) / 1000) + 1;
		timeout = Max(1L, Min(timeout, due));
	}
	int events = WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, timeout,
						   PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending) {
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
	if (busy)
		sample();
	if (busy && !safe_migrate::settings::enabled)
		interrupt_repeatable(MyDatabaseId);
	bool due = round.look_again != 0 && GetCurrentTimestamp() >= round.look_again;
	*timed_out = !(events & WL_LATCH_SET) && !busy && !due;
	return (events & WL_LATCH_SET) || due;
}

void run()
{
	if (!take_place())
		return;
	before_shmem_exit(leave_place, 0);
	MemoryContext memory =
		AllocSetContextCreate(TopMemoryContext, "safe_migrate scheduler", ALLOCSET_DEFAULT_SIZES);
	bool had_work = false;
	for (;;) {
		{
			Guard guard;
			if (Database *entry = find_database(MyDatabaseId, false))
				entry->wanted = false;
		}
		MemoryContextSwitchTo(memory);
		MemoryContextReset(memory);
		Round round = {};
		reap_workers();
		if (!look(&round))
			return;
		prune_history();
		if (workers_run_here())
			sample(); // so that a job that starts finds readings
		// After a start and at each heartbeat every database is looked at, a few at a time: where
		// there is nothing to do, the next one must not wait for this one's lingering.
		had_work = had_work || round.any_active;
		if (!had_work && may_leave())
			return;
		bool timed_out = false;
		while (!wait_for_work(round, &timed_out))
			if (timed_out && !round.any_active && may_leave())
				return;
	}
}

} // namespace
} // namespace safe_migrate::jobs

extern "C" {
PGDLLEXPORT void safe_migrate_scheduler_main(Datum arg);
}

void safe_migrate_scheduler_main(Datum)
{
	safe_migrate::pg::entry([] {
		Oid database;
		memcpy(&database, MyBgworkerEntry->bgw_extra, sizeof database);
		safe_migrate::jobs::set_up_signals(false);
		BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
		safe_migrate::jobs::force_settings();
		pgstat_report_appname("safe_migrate scheduler");
		safe_migrate::jobs::run();
	});
}
