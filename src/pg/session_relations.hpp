// Relations that this session itself created: they hold nobody else's data yet, so that
// work on them needs no caution.
#pragma once
#include "pg/postgres.hpp"

namespace safe_migrate::pg {

// From _PG_init: chains object_access_hook.
void remember_session_relations();

// After DISCARD ALL, by which a pooler hands the session to somebody else.
void forget_session_relations();

// Was the relation created by this session within the last hour (later it may be in use by
// the application), or by the transaction that is running?  Takes no lock; the caller holds one.
bool is_session_relation(Oid relation);

// The same without a look into the relation cache: misses what this transaction created only where
// the session created more than it remembers, or if the transaction runs for more than an hour.
bool is_remembered_relation(Oid relation);

// A temporary table that another session made below a parent of everybody's (INHERITS): statements
// leave its rows out, which only that session can reach.
bool is_other_sessions_temp(Oid relation);

} // namespace safe_migrate::pg
