// Every setting of the extension: one table in settings.cpp, one variable here.
// Times in milliseconds, sizes in kilobytes unless the name says otherwise.
#pragma once
#include "pg/postgres.hpp"

namespace safe_migrate {

enum Inline : int { INLINE_NEVER, INLINE_SMALL, INLINE_ALWAYS };
enum UnknownSignal : int { UNKNOWN_STOP, UNKNOWN_GO };

namespace settings {
// jobs
extern bool enabled;
extern int max_workers;
extern int inline_mode;		 // Inline
extern int small_table_size; // kB
extern int batch_time;		 // ms
extern double nice_ratio;
extern bool vacuum_after;
extern int horizon_patience;	// ms
extern int locked_row_patience; // ms
extern int ddl_lock_try;		// ms, one stay in a lock queue
extern int ddl_lock_retry;		// ms, total patience
// throttle; 0 or -1 as said in the table turns a signal off
extern int max_replica_lag;			  // ms
extern int max_replica_lag_bytes;	  // kB
extern char *replica_lag_ignore;	  // names of standbys and slots
extern int max_slot_retained;		  // kB, inactive slots
extern int max_lock_waiters;		  // sessions waiting behind the worker
extern int max_horizon_age;			  // transactions
extern int max_wal_rate;			  // kB/s of the whole cluster
extern int max_archive_backlog;		  // WAL segments ready and not archived
extern bool pause_for_checkpoints;	  // requested (not timed) checkpoints in progress
extern int max_active_backends;		  // client backends in state active
extern int max_table_write_rate;	  // rows/s written by others to the relation
extern int throttle_query_timeout;	  // ms
extern int unknown_signal;			  // UnknownSignal
} // namespace settings

// Which way a job's own value is stricter than the server's.
enum class Stricter : uint8_t { not_per_job, smaller, greater, any };

struct SettingInfo {
	const char *name; // without the prefix "safe_migrate."
	enum Type : uint8_t { boolean, integer, real, text, enumeration } type;
	void *variable;
	double boot, min, max; // integer and real; boot also for boolean and enumeration
	const char *boot_text;
	int flags;			   // GUC_UNIT_…
	bool user_set;		   // else superuser-set
	bool sighup;		   // else settable per session
	Stricter per_job;
	bool zero_is_off;	   // 0 means no limit: the least strict value
	const char *short_desc;
	const char *long_desc;
};

const SettingInfo *all_settings(int *n);
const SettingInfo *find_setting(const char *name); // nullptr when there is none

void define_settings(); // from _PG_init

} // namespace safe_migrate
