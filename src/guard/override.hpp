// The override: why statements pass that the guard would reject, for one transaction.  Who may set
// it, the server's rights on the parameter say.
#pragma once
#include "pg/postgres.hpp"

#include "statement/effects.hpp"

extern "C" {
#include "nodes/pg_list.h"
}

namespace safe_migrate::guard {

// The reason that counts for a statement that begins now; nullptr where there is none.
const char *override_reason();

// Every top-level statement begins with it: a SET outside a block counts for the next one only.
void override_sees_statement();
// … one that failed before it was one, too: at the end of a transaction that is rolled back.
void override_sees_failure();

// May the current user set it?
bool may_override();
// Roles that may beside superusers, as a list of quoted names; nullptr where there are none.
char *who_may_override();

// A row of safe_migrate.audit, in the transaction that is running.
struct OverrideRecord {
	const statement::Effects *effects;
	const List *rules;	   // names, char *
	const List *relations; // the same, qualified and quoted
	const char *reason;
	int64 at; // when the statement was let pass, a TimestampTz; 0 = now
};
// Tells the server log at once, so that it stays where the transaction rolls back.
void log_override(const OverrideRecord &record);
void store_override(const OverrideRecord &record);

// Was safe_migrate.max_lock_hold SET in this session?  Then it holds for overridden statements too.
bool hold_limit_is_own();

void install_override(); // from _PG_init, before the settings are defined

} // namespace safe_migrate::guard
