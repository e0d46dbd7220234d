// A job's own throttle query: while it returns true, the job stops writing.
#pragma once
#include "pg/postgres.hpp"

namespace safe_migrate::jobs::throttle {

// When queued: analyses `text`, one SELECT of one boolean column, as the current user under
// the current search_path, and returns what is to be stored (palloc'd): jsonb, a string with the
// query deparsed, every name qualified, or {"query": that, "objects": pg::known_objects()}.
// 42601 where it is something else, 42804 for another type, else the server's own errors.
// Needs a transaction.
char *resolve_throttle_query(const char *text);

enum class Answer : int8_t { failed = -1, go = 0, stop = 1 };

// In the worker, between two batches, outside a transaction: runs the query, the stored object or
// what the string holds, as
// `owner` in a read-only transaction of its own, stopped after timeout_ms.  Stop when its
// first row is true; go when it is false, NULL, or there is no row.  When it failed, *message
// is the error's message, palloc'd in the caller's context.
Answer run_throttle_query(const char *query, Oid owner, int timeout_ms, char **message);

} // namespace safe_migrate::jobs::throttle
