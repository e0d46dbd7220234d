// The launcher: one process a cluster, connected to no database.  Sleeps until somebody
// queues or changes a job, then asks for a scheduler in that database.  After a start or a
// promotion it has every database looked at once, since jobs may have been under way.
#include "jobs/processes.hpp"

#include <algorithm>

#include "jobs/shared.hpp"
#include "pg/boundary.hpp"
#include "pg/catalog_scan.hpp"
#include "pg/compat.hpp"
#include "pg/transaction.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
}

namespace safe_migrate::jobs {

namespace {

// All databases are looked at this often even if nobody called (a job whose transaction was
// prepared and committed later, a lost wake): 5 minutes.
constexpr long heartbeat_ms = 300'000;
constexpr int most_schedulers = 64;

struct Pending {
	Oid database;
	BackgroundWorkerHandle *handle;
};
Pending pending[most_schedulers];

void on_exit(int, Datum)
{
	Guard guard;
	if (shared->launcher_pid == MyProcPid) {
		shared->launcher_pid = 0;
		shared->launcher_latch = nullptr;
	}
}

void want_all_databases()
{
	ErrorData *error = pg::run_transaction([] {
		PushActiveSnapshot(GetTransactionSnapshot());
		pg::for_each_row<FormData_pg_database>(DatabaseRelationId, [](FormData_pg_database &row) {
			if (!row.datallowconn || pg::database_is_invalid(&row))
				return;
			Guard guard;
			if (Database *entry = find_database(row.oid, true))
				entry->wanted = true;
		});
		PopActiveSnapshot();
	});
	if (error)
		FreeErrorData(error);
}

enum class Connections : uint8_t { taken, refused, gone };

// What is known of a database before a process is sent there; all is well where it can't be read.
Connections connections_of(Oid database)
{
	auto found = Connections::gone;
	ErrorData *error = pg::run_transaction([&] {
		PushActiveSnapshot(GetTransactionSnapshot());
		pg::for_each_row<FormData_pg_database>(DatabaseRelationId, [&](FormData_pg_database &row) {
			if (row.oid == database)
				found = row.datallowconn && !pg::database_is_invalid(&row) ? Connections::taken
																		   : Connections::refused;
		});
		PopActiveSnapshot();
	});
	if (!error)
		return found;
	FreeErrorData(error);
	return Connections::taken;
}

// The next one is sent there after a pause that doubles, or when somebody asks.  Under the lock.
void note_failure(Database &entry)
{
	constexpr int64 first_ms = 500;
	entry.started = 0;
	entry.no_slot = false;
	int64 pause_ms = Min(first_ms << Min(entry.failures, 20), static_cast<int64>(heartbeat_ms));
	entry.failures++;
	entry.retry_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), pause_ms);
}

// A scheduler that ended before it took its place could not connect.
void forget_ended()
{
	for (Pending &p : pending) {
		pid_t pid;
		if (!p.handle || GetBackgroundWorkerPid(p.handle, &pid) != BGWH_STOPPED)
			continue;
		pfree(p.handle);
		p.handle = nullptr;
		Guard guard;
		Database *entry = find_database(p.database, false);
		if (!entry || entry->scheduler_pid != 0)
			continue;
		if (entry->started != 0 && entry->bars == 0)
			note_failure(*entry);
		entry->started = 0;
	}
}

bool waits_for_scheduler(const Database &entry)
{
	return entry.oid != InvalidOid && entry.wanted && entry.scheduler_pid == 0 &&
		   entry.started == 0 && entry.bars == 0;
}

// The next database that has work and no scheduler; it counts as being started from now on.
Oid take_wanted()
{
	TimestampTz now = GetCurrentTimestamp();
	Guard guard;
	for (Database &entry : shared->databases) {
		if (!waits_for_scheduler(entry) || entry.retry_at > now)
			continue;
		entry.started = now;
		return entry.oid;
	}
	return InvalidOid;
}

// The same of those that can be connected to, as far as is known.
Oid take_reachable()
{
	for (;;) {
		Oid database = take_wanted();
		Connections connections =
			database == InvalidOid ? Connections::taken : connections_of(database);
		if (connections == Connections::taken)
			return database;
		Guard guard;
		Database *entry = find_database(database, false);
		if (entry && connections == Connections::refused)
			note_failure(*entry);
		else if (entry && entry->bars == 0)
			forget_database(database);
	}
}

// When a database is due again, and no later than `latest`; those that are due already wait for
// another's scheduler to end.
TimestampTz next_retry(TimestampTz now, TimestampTz latest)
{
	Guard guard(LW_SHARED);
	for (const Database &entry : shared->databases)
		if (waits_for_scheduler(entry) && entry.retry_at > now)
			latest = Min(latest, entry.retry_at);
	return latest;
}

// Schedulers at one time: workers have to find a place beside them.
int scheduler_limit() { return std::clamp(max_worker_processes / 2, 4, most_schedulers); }

// Returns false when no process could be started: the caller tries again a little later.
bool start_schedulers()
{
	for (int i = 0; i < scheduler_limit(); i++) {
		Pending &p = pending[i];
		if (p.handle)
			continue;
		Oid database = take_reachable();
		if (database == InvalidOid)
			return true;
		p.database = database;
		p.handle =
			start_process("safe_migrate scheduler", "safe_migrate_scheduler_main", database, 0);
		if (!p.handle) {
			Guard guard;
			if (Database *entry = find_database(database, false)) {
				entry->started = 0;
				entry->no_slot = true;
			}
			return false;
		}
	}
	return true; // the rest when one of these has ended
}

void run()
{
	before_shmem_exit(on_exit, 0);
	{
		Guard guard;
		shared->launcher_pid = MyProcPid;
		shared->launcher_latch = MyLatch;
		for (Database &entry : shared->databases)
			if (entry.scheduler_pid == 0)
				entry.started = 0;
	}
	CurrentMemoryContext = TopMemoryContext;
	TimestampTz look_at_all = 0;
	for (;;) {
		TimestampTz now = GetCurrentTimestamp();
		if (now >= look_at_all) {
			want_all_databases();
			look_at_all = TimestampTzPlusMilliseconds(now, heartbeat_ms);
		}
		forget_ended();
		bool started = start_schedulers();
		now = GetCurrentTimestamp();
		long timeout = TimestampDifferenceMilliseconds(now, next_retry(now, look_at_all)) + 1;
		(void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						started ? timeout : Min(timeout, 1000L), PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending) {
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
	}
}

} // namespace

BackgroundWorkerHandle *start_process(const char *type, const char *function, Oid database,
									  int slot)
{
	BackgroundWorker worker = {};
	strlcpy(worker.bgw_name, type, BGW_MAXLEN);
	strlcpy(worker.bgw_type, type, BGW_MAXLEN);
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	strlcpy(worker.bgw_library_name, "safe_migrate", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, function, BGW_MAXLEN);
	worker.bgw_main_arg = Int32GetDatum(slot);
	memcpy(worker.bgw_extra, &database, sizeof database);
	worker.bgw_notify_pid = MyProcPid;

	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	BackgroundWorkerHandle *handle = nullptr;
	if (!RegisterDynamicBackgroundWorker(&worker, &handle))
		handle = nullptr;
	MemoryContextSwitchTo(old);
	return handle;
}

void register_launcher()
{
	BackgroundWorker worker = {};
	strlcpy(worker.bgw_name, "safe_migrate launcher", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "safe_migrate launcher", BGW_MAXLEN);
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = 5;
	strlcpy(worker.bgw_library_name, "safe_migrate", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "safe_migrate_launcher_main", BGW_MAXLEN);
	RegisterBackgroundWorker(&worker);
}

// As autovacuum's launcher and workers do; and ALTER ROLE … SET role must not make a job work as
// somebody else.
void force_settings()
{
	constexpr const char *forced[][2] = {
		{"role", "none"},
		{"statement_timeout", "0"},
		{"lock_timeout", "0"},
		{"idle_in_transaction_session_timeout", "0"},
		{"idle_session_timeout", "0"},
		{"transaction_timeout", "0"},
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_read_only", "off"},
		{"default_transaction_deferrable", "off"},
		{"zero_damaged_pages", "off"},
		{"row_security", "on"},
	};
	for (const auto &setting : forced)
		if (GetConfigOption(setting[0], true, false))
			SetConfigOption(setting[0], setting[1], PGC_SUSET, PGC_S_OVERRIDE);
}

void set_up_signals(bool cancellable)
{
	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGINT, cancellable ? StatementCancelHandler : pg::ignore_signal());
	BackgroundWorkerUnblockSignals();
}

} // namespace safe_migrate::jobs

extern "C" {
PGDLLEXPORT void safe_migrate_launcher_main(Datum arg);
}

void safe_migrate_launcher_main(Datum)
{
	safe_migrate::pg::entry([] {
		safe_migrate::jobs::set_up_signals(false);
		BackgroundWorkerInitializeConnectionByOid(InvalidOid, InvalidOid, 0);
		pgstat_report_appname("safe_migrate launcher");
		safe_migrate::jobs::run();
	});
}
