// Every setting of the extension: one table in settings.cpp, one variable here.
// Times in milliseconds, sizes in kilobytes unless the name says otherwise.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "utils/guc.h"
}

namespace safe_migrate {

namespace jobs::throttle {
struct Limits;
}

enum Inline : int { INLINE_NEVER, INLINE_SMALL, INLINE_ALWAYS };
enum UnknownSignal : int { UNKNOWN_STOP, UNKNOWN_GO };
enum GuardMode : int { GUARD_OFF, GUARD_WARN, GUARD_ENFORCE };

namespace settings {
// jobs
extern bool enabled;
extern int max_workers;
extern int inline_mode;		 // Inline
extern int small_table_size; // kB
extern int batch_time;		 // ms
extern double nice_ratio;	 // sleep = ratio × time of the last batch
extern int wal_flush_after;	 // kB that a batch is ahead of the disk while others write
extern bool vacuum_after;
extern int job_history;			// minutes, 0 = for ever
extern int horizon_patience;	// ms
extern int locked_row_patience; // ms
extern int ddl_lock_try;		// ms, one stay in a lock queue
extern int ddl_lock_retry;		// ms, total patience
extern int cancel_blockers;		// ms, 0 = off
extern int terminate_blockers;	// ms, 0 = off
// throttle: 0 turns a limit off (max_lock_waiters: -1)
extern int max_replica_lag;		   // ms
extern int max_replica_lag_bytes;  // kB
extern char *replica_lag_ignore;   // names of standbys and slots
extern int max_slot_retained;	   // kB, inactive slots
extern int max_lock_waiters;	   // sessions waiting behind the worker; -1 = off
extern int max_horizon_age;		   // transactions
extern int max_wal_rate;		   // kB/s of the whole cluster
extern int max_archive_backlog;	   // WAL segments ready and not archived
extern bool pause_for_checkpoints; // requested (not timed) checkpoints in progress
extern int max_active_backends;	   // client backends in state active
extern int max_table_write_rate;   // rows/s written by others to the relation
extern int throttle_query_timeout; // ms
extern int unknown_signal;		   // UnknownSignal
// guard
extern int guard;				   // GuardMode
extern char *rule_levels;		   // as checked and parsed by guard/rule_settings.cpp
extern char *override_reason;	   // counts only where guard/override.cpp says so
extern int ddl_lock_timeout;	   // ms, one stay in a lock queue while holding strong locks
extern int max_lock_hold;		   // ms, that somebody waits behind a judged statement; 0 = off
extern int max_rows_per_statement; // 0 = off
extern int audit_history;		   // minutes, 0 = for ever
} // namespace settings

// Which way a job's own value is stricter than the server's.  A job's owner may only go that
// way, unless he may SET the parameter; `any`: no limit of the DBA's, both ways are free.
enum class Stricter : uint8_t { not_per_job, smaller, greater, any };

// Who sets it: anybody, those who may SET it (superusers and who was granted it), or the
// configuration file (those that steer background processes common to all sessions).
enum class Scope : uint8_t { user, superuser, server };

struct SettingInfo {
	const char *name; // with the prefix "safe_migrate."
	enum Type : uint8_t { boolean, integer, real, text, enumeration } type;
	void *variable;
	double boot, min, max; // min and max of integer and real; boot of all but text
	const char *boot_text;
	const struct config_enum_entry *options;
	int flags; // GUC_UNIT_…
	Scope scope;
	Stricter per_job;
	bool has_off; // `off` means no limit: the least strict value
	double off;
	int job_offset; // of its field in JobSettings, -1 when not per job
	const char *short_desc;
	const char *long_desc;	  // or nullptr
	GucStringCheckHook check; // of text
};

const SettingInfo *all_settings(int *n);
// By its name with or without the prefix; nullptr when there is none.
const SettingInfo *find_setting(const char *name);

void define_settings(); // from _PG_init

// What checks and takes over the values of a text setting; from _PG_init, before define_settings().
void use_text_hooks(const char *name, GucStringCheckHook check, GucStringAssignHook assign);
void use_int_hooks(const char *name, GucIntCheckHook check,
				   GucIntAssignHook assign); // of an integer

// ---------------------------------------------------------------- a job's own settings

// What holds for one job now: its own value where that is stricter (or was allowed), else the
// server's.  Units as above.
struct JobSettings {
	int batch_time;
	double nice_ratio;
	bool vacuum_after;
	int horizon_patience;
	int locked_row_patience;
	int ddl_lock_try;
	int ddl_lock_retry;
	int cancel_blockers;
	int terminate_blockers;
	int max_replica_lag;
	int max_replica_lag_bytes;
	int max_slot_retained;
	int max_lock_waiters;
	int max_horizon_age;
	int max_wal_rate;
	int max_archive_backlog;
	bool pause_for_checkpoints;
	int max_active_backends;
	int max_table_write_rate;
	int throttle_query_timeout;
	int unknown_signal;
	const char *throttle_query; // palloc'd, as resolve_throttle_query() gave it; nullptr = none
};

// All three need a transaction (they look at the role's rights); `throttle_query` is analysed
// as the current user and stored resolved.  `role` is who asks: to go less strict than the
// server it needs SET on the parameter, else 42501.  Unknown name 42704, bad value 22023.

// The settings argument of a job's function: a jsonb object of names and values (nullptr =
// none).  Returns it normalised: names without prefix, values as the server shows them; a
// value that is less strict by right is stored as {"override": value}.
char *validate_job_settings(const char *json, Oid role);

// One of them, for configure(): returns the normalised jsonb value to store under *stored_name
// (palloc'd), or nullptr where value is NULL or '': back to the server's.
char *validate_job_setting(const char *name, const char *value, Oid role, char **stored_name);

// The whole of configure(): `json` with that one setting changed or removed.
char *configure_job_settings(const char *json, const char *name, const char *value, Oid role);

// What the stored `json` makes of the server's settings as they are now; call it again after a
// reload.  Needs no transaction and raises nothing for what validate_job_settings() returned;
// what a later version of the extension does not know any more is left out.
JobSettings effective_settings(const char *json);

// A value with its largest whole unit ("10s", "100MB"), palloc'd.
char *format_setting(const SettingInfo &info, double value);

jobs::throttle::Limits throttle_limits(const JobSettings &settings);

} // namespace safe_migrate
