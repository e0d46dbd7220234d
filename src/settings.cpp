// The table of all settings, and their definition as server parameters.
#include "settings.hpp"

#include <climits>
#include <cstddef>

extern "C" {
#include "utils/builtins.h"
#include "utils/varlena.h"
}

namespace safe_migrate {

namespace settings { // their values come from the table; an enumeration has to start with it
bool enabled;
int max_workers;
int inline_mode = INLINE_SMALL;
int small_table_size;
int batch_time;
double nice_ratio;
int wal_flush_after;
bool vacuum_after;
int job_history;
int horizon_patience;
int locked_row_patience;
int ddl_lock_try;
int ddl_lock_retry;
int cancel_blockers;
int terminate_blockers;
int max_replica_lag;
int max_replica_lag_bytes;
char *replica_lag_ignore;
int max_slot_retained;
int max_lock_waiters;
int max_horizon_age;
int max_wal_rate;
int max_archive_backlog;
bool pause_for_checkpoints;
int max_active_backends;
int max_table_write_rate;
int throttle_query_timeout;
int unknown_signal = UNKNOWN_STOP;
int guard = GUARD_WARN;
char *rule_levels;
char *override_reason;
int ddl_lock_timeout;
int max_lock_hold;
int max_rows_per_statement;
int audit_history;
} // namespace settings

namespace {

constexpr config_enum_entry inline_options[] = {{"never", INLINE_NEVER, false},
												{"small", INLINE_SMALL, false},
												{"always", INLINE_ALWAYS, false},
												{nullptr, 0, false}};
constexpr config_enum_entry unknown_options[] = {
	{"stop", UNKNOWN_STOP, false}, {"go", UNKNOWN_GO, false}, {nullptr, 0, false}};
constexpr config_enum_entry guard_options[] = {{"off", GUARD_OFF, false},
											   {"warn", GUARD_WARN, false},
											   {"enforce", GUARD_ENFORCE, false},
											   {nullptr, 0, false}};

constexpr int not_in_job = -1;
#define IN_JOB(field) static_cast<int>(offsetof(JobSettings, field))

// Rows of the table, by type.  What most rows have in common is left to the defaults.
constexpr SettingInfo row(const char *name, SettingInfo::Type type, void *variable, double boot,
						  Scope scope, Stricter per_job, int offset, const char *desc)
{
	SettingInfo info = {};
	info.name = name;
	info.type = type;
	info.variable = variable;
	info.boot = boot;
	info.scope = scope;
	info.per_job = per_job;
	info.job_offset = offset;
	info.short_desc = desc;
	return info;
}

constexpr SettingInfo flag(const char *name, bool *variable, bool boot, Scope scope,
						   Stricter per_job, int offset, const char *desc)
{
	return row(name, SettingInfo::boolean, variable, boot ? 1 : 0, scope, per_job, offset, desc);
}

constexpr SettingInfo choice(const char *name, int *variable, int boot,
							 const config_enum_entry *options, Scope scope, Stricter per_job,
							 int offset, const char *desc, const char *more = nullptr)
{
	SettingInfo info =
		row(name, SettingInfo::enumeration, variable, boot, scope, per_job, offset, desc);
	info.options = options;
	info.long_desc = more;
	return info;
}

constexpr SettingInfo number(const char *name, int *variable, int boot, int min, int max, int flags,
							 Scope scope, Stricter per_job, int offset, const char *desc,
							 const char *more = nullptr)
{
	SettingInfo info =
		row(name, SettingInfo::integer, variable, boot, scope, per_job, offset, desc);
	info.min = min;
	info.max = max;
	info.flags = flags;
	info.long_desc = more;
	return info;
}

constexpr SettingInfo ratio(const char *name, double *variable, double boot, double max,
							Stricter per_job, int offset, const char *desc)
{
	SettingInfo info =
		row(name, SettingInfo::real, variable, boot, Scope::superuser, per_job, offset, desc);
	info.max = max;
	return info;
}

// A list of names as in synchronous_standby_names, without its numbers.
bool check_names(char **value, void **, GucSource)
{
	char *copy = pstrdup(*value);
	List *names = NIL;
	bool ok = SplitGUCList(copy, ',', &names);
	if (!ok)
		GUC_check_errdetail("List syntax is invalid.");
	list_free(names);
	pfree(copy);
	return ok;
}

constexpr SettingInfo words(const char *name, char **variable, int flags, Scope scope,
							const char *desc, const char *more)
{
	SettingInfo info =
		row(name, SettingInfo::text, variable, 0, scope, Stricter::not_per_job, not_in_job, desc);
	info.boot_text = "";
	info.flags = flags;
	info.long_desc = more;
	return info;
}

constexpr SettingInfo names(const char *name, char **variable, const char *desc, const char *more)
{
	SettingInfo info = words(name, variable, GUC_LIST_INPUT, Scope::server, desc, more);
	info.check = check_names;
	return info;
}

// A throttle limit: superuser-set, a job may only go lower, `off` turns it off.
constexpr SettingInfo limit(const char *name, int *variable, int boot, int off, int flags,
							int offset, const char *desc)
{
	SettingInfo info =
		number(name, variable, boot, off, INT_MAX, flags, Scope::superuser, Stricter::smaller,
			   offset, desc, off == 0 ? "0 turns this limit off." : "-1 turns this limit off.");
	info.has_off = true;
	info.off = off;
	return info;
}

constexpr SettingInfo table[] = {
	// Off stops all work of the cluster at the next batch, without losing any; on goes on with it.
	flag("safe_migrate.enabled", &settings::enabled, true, Scope::server, Stricter::not_per_job,
		 not_in_job, "Lets jobs run; off stops all of them at their next batch."),

	// Higher where the machine has cores and disks to spare: each worker is one busy backend, and
	// takes one of max_worker_processes.
	number("safe_migrate.max_workers", &settings::max_workers, 2, 0, 1024, 0, Scope::server,
		   Stricter::not_per_job, not_in_job,
		   "Most background workers that carry out jobs at one time, in all databases."),

	// `always` in development and CI, where nobody is in the way; `never` to see on a small table
	// what happens on a large one.
	choice("safe_migrate.inline", &settings::inline_mode, INLINE_SMALL, inline_options, Scope::user,
		   Stricter::not_per_job, not_in_job,
		   "When work is done in the caller's own transaction instead of by a worker."),

	// Lower where even the scan of a small table would be felt; higher on fast machines.
	number("safe_migrate.small_table_size", &settings::small_table_size, 10 * 1024, 0, INT_MAX,
		   GUC_UNIT_KB, Scope::superuser, Stricter::not_per_job, not_in_job,
		   "Size below which a table counts as small.",
		   "Work on small tables is done at once, in the caller's transaction."),

	// Lower where clients must wait less for a row that a batch holds; higher gives a little more
	// speed.
	number("safe_migrate.batch_time", &settings::batch_time, 30, 1, 60 * 1000, GUC_UNIT_MS,
		   Scope::superuser, Stricter::smaller, IN_JOB(batch_time),
		   "Time that a batch (one transaction of a job) aims at."),

	// Higher leaves the machine to others for that many times the length of each batch: 1 is half
	// of the time.
	ratio("safe_migrate.nice_ratio", &settings::nice_ratio, 0, 100, Stricter::greater,
		  IN_JOB(nice_ratio), "Sleep after each batch, as a multiple of the time it took."),

	// Higher, or 0, where nobody waits for commits (synchronous_commit = off) or a backfill is to
	// be
	// fast beside them.
	number(
		"safe_migrate.wal_flush_after", &settings::wal_flush_after, 32, 0, 1024 * 1024, GUC_UNIT_KB,
		Scope::server, Stricter::not_per_job, not_in_job,
		"WAL that a batch is ahead of the disk while others write, whose commits wait for it.",
		"A batch that is further ahead waits until others' commits, or after 2 ms its own flush, "
		"have brought it there. 0 leaves all of it to the server."),

	// Off where autovacuum or a nightly VACUUM is to do it.
	flag("safe_migrate.vacuum_after", &settings::vacuum_after, true, Scope::superuser,
		 Stricter::any, IN_JOB(vacuum_after),
		 "Runs VACUUM (ANALYZE) on a table after it was backfilled or purged."),

	// Lower where jobs come by the thousand; 0 where the record has to be kept.
	number("safe_migrate.job_history", &settings::job_history, 90 * 24 * 60, 0, 100 * 365 * 24 * 60,
		   GUC_UNIT_MIN, Scope::server, Stricter::not_per_job, not_in_job,
		   "How long jobs that have ended are kept.", "0 keeps them for ever."),

	// Lower where long transactions are the rule and bloat matters less than time; higher where
	// they end in the end.
	number("safe_migrate.horizon_patience", &settings::horizon_patience, 10 * 60 * 1000, 0, INT_MAX,
		   GUC_UNIT_MS, Scope::superuser, Stricter::any, IN_JOB(horizon_patience),
		   "Time to wait for old snapshots before pages are filled without room being reclaimed."),

	// Higher where the application holds rows for long and they do get free.
	number("safe_migrate.locked_row_patience", &settings::locked_row_patience, 5 * 60 * 1000, 0,
		   INT_MAX, GUC_UNIT_MS, Scope::superuser, Stricter::any, IN_JOB(locked_row_patience),
		   "Time to try rows that others hold locked before the job gives up on them."),

	// Lower where even this long a queue behind a strong lock is felt; higher on tables that are
	// never free of short transactions.
	number("safe_migrate.ddl_lock_try", &settings::ddl_lock_try, 200, 1, INT_MAX, GUC_UNIT_MS,
		   Scope::superuser, Stricter::smaller, IN_JOB(ddl_lock_try),
		   "One stay in the queue for a strong table lock; nobody waits behind it for longer."),

	// Higher for tables with long transactions: between two tries nobody waits.
	number("safe_migrate.ddl_lock_retry", &settings::ddl_lock_retry, 30 * 1000, 0, INT_MAX,
		   GUC_UNIT_MS, Scope::superuser, Stricter::any, IN_JOB(ddl_lock_retry),
		   "Total time to try for a strong table lock."),

	// On where a report had better be lost than a migration.
	number("safe_migrate.cancel_blockers", &settings::cancel_blockers, 0, 0, INT_MAX, GUC_UNIT_MS,
		   Scope::superuser, Stricter::any, IN_JOB(cancel_blockers),
		   "Time that a schema change waits for a lock before it cancels the statement in its way.",
		   "0 turns it off. Only statements of sessions that the job's owner may signal."),

	// On where clients forget their transactions.
	number("safe_migrate.terminate_blockers", &settings::terminate_blockers, 0, 0, INT_MAX,
		   GUC_UNIT_MS, Scope::superuser, Stricter::any, IN_JOB(terminate_blockers),
		   "Time that a schema change waits for a lock before it ends a session idle in a "
		   "transaction.",
		   "0 turns it off. Only sessions that the job's owner may signal."),

	// Lower where reads go to standbys; higher where they are for fail-over only.
	limit("safe_migrate.max_replica_lag", &settings::max_replica_lag, 10 * 1000, 0, GUC_UNIT_MS,
		  IN_JOB(max_replica_lag),
		  "Replay lag in time of a standby or subscriber over which jobs stop writing."),

	// Set it where standbys or slots have limited room to keep WAL.
	limit("safe_migrate.max_replica_lag_bytes", &settings::max_replica_lag_bytes, 0, 0, GUC_UNIT_KB,
		  IN_JOB(max_replica_lag_bytes),
		  "Replay lag in bytes of a standby or subscriber over which jobs stop writing."),

	// The standbys that are meant to lag (recovery_min_apply_delay) or that nobody waits for.
	names("safe_migrate.replica_lag_ignore", &settings::replica_lag_ignore,
		  "Names of standbys (application_name) and slots whose lag stops no job.",
		  "They are shown in the readings all the same. * stands for all."),

	// Lower where the disk of pg_wal is small: a slot nobody reads from keeps every byte a job
	// writes.
	limit("safe_migrate.max_slot_retained", &settings::max_slot_retained, 10 * 1024 * 1024, 0,
		  GUC_UNIT_KB, IN_JOB(max_slot_retained),
		  "WAL retained by an inactive replication slot over which jobs stop writing."),

	// Higher where short waits for a job's rows do no harm.
	limit("safe_migrate.max_lock_waiters", &settings::max_lock_waiters, 0, -1, 0,
		  IN_JOB(max_lock_waiters),
		  "Sessions waiting for locks of a job's worker over which it pauses after the batch."),

	// Set it where bloat of other tables matters: nothing is vacuumed behind an old snapshot.
	limit("safe_migrate.max_horizon_age", &settings::max_horizon_age, 0, 0, 0,
		  IN_JOB(max_horizon_age),
		  "Age of the oldest snapshot, in transactions, over which jobs stop writing."),

	// Set it to what archiving, the network to the standbys and the disk of pg_wal can take.
	limit("safe_migrate.max_wal_rate", &settings::max_wal_rate, 0, 0, GUC_UNIT_KB,
		  IN_JOB(max_wal_rate),
		  "WAL per second of the whole cluster over which jobs stop writing."),

	// Set it where archive_command is slow: WAL waits for it on the disk of pg_wal.
	limit("safe_migrate.max_archive_backlog", &settings::max_archive_backlog, 0, 0, 0,
		  IN_JOB(max_archive_backlog),
		  "WAL segments waiting to be archived over which jobs stop writing."),

	// On where checkpoints caused by WAL volume are felt: max_wal_size is too small for the work.
	flag("safe_migrate.pause_for_checkpoints", &settings::pause_for_checkpoints, false,
		 Scope::superuser, Stricter::greater, IN_JOB(pause_for_checkpoints),
		 "Stops writing while a requested (not a timed) checkpoint runs."),

	// Set it near the number of cores, to work only while the machine has room.
	limit("safe_migrate.max_active_backends", &settings::max_active_backends, 0, 0, 0,
		  IN_JOB(max_active_backends),
		  "Client backends busy with a statement over which jobs stop writing."),

	// Set it to work off-peak: the job goes on when the application writes less to its table.
	limit("safe_migrate.max_table_write_rate", &settings::max_table_write_rate, 0, 0, 0,
		  IN_JOB(max_table_write_rate),
		  "Rows per second written by others to a job's table over which it stops writing."),

	// Higher where a job's throttle_query is expensive; it is asked about once a second.
	number("safe_migrate.throttle_query_timeout", &settings::throttle_query_timeout, 1000, 1,
		   60 * 1000, GUC_UNIT_MS, Scope::superuser, Stricter::smaller,
		   IN_JOB(throttle_query_timeout), "Time limit of a job's own throttle query."),

	// `go` where a reading that fails must not hold up the work.
	choice("safe_migrate.unknown_signal", &settings::unknown_signal, UNKNOWN_STOP, unknown_options,
		   Scope::superuser, Stricter::smaller, IN_JOB(unknown_signal),
		   "What a limit does while its reading is unknown: stop or go."),

	// First warn, until the log of some weeks holds nothing that was meant; then enforce.  Off
	// where another process (pg_restore -j) brings in what nobody uses yet.
	choice("safe_migrate.guard", &settings::guard, GUARD_WARN, guard_options, Scope::superuser,
		   Stricter::not_per_job, not_in_job,
		   "What becomes of statements that would block or break the application.",
		   "warn lets them pass with a WARNING, enforce rejects what the rules reject."),

	// Set it where a rule is too strict, or not strict enough, for all tables; set_policy() is for
	// one.
	words("safe_migrate.rule_levels", &settings::rule_levels, GUC_LIST_INPUT, Scope::superuser,
		  "Levels of the guard's rules that differ from the defaults.",
		  "A list of rule=level; a level is allow, warn or reject."),

	// By SET LOCAL, before the statement that is to pass all the same.
	words("safe_migrate.override", &settings::override_reason, GUC_NOT_IN_SAMPLE, Scope::superuser,
		  "Why statements of this transaction pass that the guard would reject.",
		  "Counts in the transaction that sets it, outside a block for the next statement."),

	// Lower where nobody may wait this long; it is for transactions that can't let go of what
	// they hold and try again.
	number("safe_migrate.ddl_lock_timeout", &settings::ddl_lock_timeout, 2000, 1, INT_MAX,
		   GUC_UNIT_MS, Scope::superuser, Stricter::not_per_job, not_in_job,
		   "The stay in the queue for a strong table lock where retrying is impossible."),

	// Higher, or 0, where a migration's transaction is worth more than those who wait for it.
	number("safe_migrate.max_lock_hold", &settings::max_lock_hold, 2000, 0, INT_MAX, GUC_UNIT_MS,
		   Scope::superuser, Stricter::not_per_job, not_in_job,
		   "Time that anybody waits behind the strong locks of a judged statement's transaction.",
		   "0 turns this limit off."),

	// Set it to what one statement may hold locked at a time.
	number("safe_migrate.max_rows_per_statement", &settings::max_rows_per_statement, 0, 0, INT_MAX,
		   0, Scope::superuser, Stricter::not_per_job, not_in_job,
		   "Estimated rows over which an UPDATE, DELETE or MERGE is rejected.",
		   "0 turns this limit off."),

	// Set it where jobs of every night override, and auditors say how long the record is wanted.
	number("safe_migrate.audit_history", &settings::audit_history, 0, 0, 100 * 365 * 24 * 60,
		   GUC_UNIT_MIN, Scope::server, Stricter::not_per_job, not_in_job,
		   "How long overrides are kept in the audit.", "0 keeps them for ever."),
};
#undef IN_JOB

constexpr std::string_view prefix = "safe_migrate.";
constexpr bool all_prefixed()
{
	for (const SettingInfo &info : table)
		if (!std::string_view(info.name).starts_with(prefix))
			return false;
	return true;
}
static_assert(all_prefixed());

struct TextHooks {
	const char *name;
	GucStringCheckHook check;
	GucStringAssignHook assign;
};
TextHooks text_hooks[4];
int n_text_hooks = 0;

TextHooks hooks_of(const SettingInfo &info)
{
	for (int i = 0; i < n_text_hooks; i++)
		if (strcmp(text_hooks[i].name, info.name) == 0)
			return text_hooks[i];
	return {info.name, info.check, nullptr};
}

struct IntHooks {
	const char *name;
	GucIntCheckHook check;
	GucIntAssignHook assign;
};
IntHooks int_hooks[1];
int n_int_hooks = 0;

IntHooks int_hooks_of(const SettingInfo &info)
{
	for (int i = 0; i < n_int_hooks; i++)
		if (strcmp(int_hooks[i].name, info.name) == 0)
			return int_hooks[i];
	return {info.name, nullptr, nullptr};
}

GucContext context_of(Scope scope)
{
	switch (scope) {
		case Scope::user:
			return PGC_USERSET;
		case Scope::superuser:
			return PGC_SUSET;
		case Scope::server:
			return PGC_SIGHUP;
	}
	return PGC_SUSET;
}

void define(const SettingInfo &info)
{
	GucContext context = context_of(info.scope);
	switch (info.type) {
		case SettingInfo::boolean:
			DefineCustomBoolVariable(info.name, info.short_desc, info.long_desc,
									 static_cast<bool *>(info.variable), info.boot != 0, context,
									 info.flags, nullptr, nullptr, nullptr);
			return;
		case SettingInfo::integer: {
			IntHooks hooks = int_hooks_of(info);
			DefineCustomIntVariable(info.name, info.short_desc, info.long_desc,
									static_cast<int *>(info.variable), static_cast<int>(info.boot),
									static_cast<int>(info.min), static_cast<int>(info.max), context,
									info.flags, hooks.check, hooks.assign, nullptr);
			return;
		}
		case SettingInfo::real:
			DefineCustomRealVariable(info.name, info.short_desc, info.long_desc,
									 static_cast<double *>(info.variable), info.boot, info.min,
									 info.max, context, info.flags, nullptr, nullptr, nullptr);
			return;
		case SettingInfo::text: {
			TextHooks hooks = hooks_of(info);
			DefineCustomStringVariable(info.name, info.short_desc, info.long_desc,
									   static_cast<char **>(info.variable), info.boot_text, context,
									   info.flags, hooks.check, hooks.assign, nullptr);
			return;
		}
		case SettingInfo::enumeration:
			DefineCustomEnumVariable(info.name, info.short_desc, info.long_desc,
									 static_cast<int *>(info.variable), static_cast<int>(info.boot),
									 info.options, context, info.flags, nullptr, nullptr, nullptr);
			return;
	}
}

} // namespace

const SettingInfo *all_settings(int *n)
{
	*n = static_cast<int>(lengthof(table));
	return table;
}

const SettingInfo *find_setting(const char *name)
{
	if (pg_strncasecmp(name, prefix.data(), prefix.size()) == 0)
		name += prefix.size();
	for (const SettingInfo &info : table)
		if (pg_strcasecmp(info.name + prefix.size(), name) == 0)
			return &info;
	return nullptr;
}

void use_text_hooks(const char *name, GucStringCheckHook check, GucStringAssignHook assign)
{
	Assert(n_text_hooks < static_cast<int>(lengthof(text_hooks)));
	text_hooks[n_text_hooks++] = {name, check, assign};
}

void use_int_hooks(const char *name, GucIntCheckHook check, GucIntAssignHook assign)
{
	Assert(n_int_hooks < static_cast<int>(lengthof(int_hooks)));
	int_hooks[n_int_hooks++] = {name, check, assign};
}

// In a session that loads the library by itself the settings are defined as well, so that
// their values are checked and functions can say what is missing; nothing else works there.
void define_settings()
{
	for (const SettingInfo &info : table)
		define(info);
	MarkGUCPrefixReserved("safe_migrate");
}

} // namespace safe_migrate
