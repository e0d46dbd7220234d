// Top-level transactions of a background worker, and the catch at the top of
// them.  Follows the error handling of PostgresMain() and of autovacuum's
// do_autovacuum(): abort, flush, carry on.
#pragma once
#include "pg/postgres.hpp"

namespace safe_migrate::pg {

using Body = void (*)(void *);

// Runs body(arg) in a top-level transaction of its own, without an active
// snapshot, and commits it.  Returns nullptr when it committed; otherwise the
// transaction has been aborted, every resource released, and the error (a copy
// in the caller's memory context, reported to the server log at `log_level`,
// 0 for not at all) is returned.  FATAL (termination) does not return.
// Must not be called inside a transaction.
ErrorData *run_transaction(Body body, void *arg, int log_level = 0);

template <class F> ErrorData *run_transaction(F &&body, int log_level = 0)
{
	using Fn = std::remove_reference_t<F>;
	return run_transaction([](void *arg) { (*static_cast<Fn *>(arg))(); },
						   const_cast<void *>(static_cast<const void *>(&body)), log_level);
}

// Runs body(arg) in an internal subtransaction of the caller's transaction.
// Returns nullptr when it was released; else the subtransaction has been rolled
// back, memory context and resource owner are the caller's again, and the error
// is returned as a copy in the caller's memory context.
ErrorData *run_subtransaction(Body body, void *arg);

template <class F> ErrorData *run_subtransaction(F &&body)
{
	using Fn = std::remove_reference_t<F>;
	return run_subtransaction([](void *arg) { (*static_cast<Fn *>(arg))(); },
							  const_cast<void *>(static_cast<const void *>(&body)));
}

// The same, but it is rolled back whatever happens: what it locked is released.
ErrorData *try_undone(Body body, void *arg);

template <class F> ErrorData *try_undone(F &&body)
{
	using Fn = std::remove_reference_t<F>;
	return try_undone([](void *arg) { (*static_cast<Fn *>(arg))(); },
					  const_cast<void *>(static_cast<const void *>(&body)));
}

// The same; errors are raised again.
void run_undone(Body body, void *arg);

template <class F> void run_undone(F &&body)
{
	using Fn = std::remove_reference_t<F>;
	run_undone([](void *arg) { (*static_cast<Fn *>(arg))(); },
			   const_cast<void *>(static_cast<const void *>(&body)));
}

// Runs exactly one top-level statement as PortalRun(isTopLevel = true) does, in
// its own transaction(s): the way to VACUUM and to CREATE INDEX CONCURRENTLY
// from a worker; activity: what pg_stat_activity shows meanwhile.  Returns as run_transaction does.
ErrorData *run_toplevel(const char *sql, const char *activity, int log_level = 0);

// True when the transaction (or the session) in `error` may simply be tried again:
// deadlock_detected, serialization_failure, lock_not_available.
bool is_retryable(const ErrorData *error);

} // namespace safe_migrate::pg
