// A step that did not get a lock: out of the queue for a while, with the blocker named in progress.
#pragma once
#include "jobs/step_context.hpp"

namespace safe_migrate::jobs {

// Inside a batch, before it asks for locks: how long it may stand in the queue for them, all
// together.  Raises 55P03 where it is to stay out of it for now: whose transaction is old is likely
// to stay, and all who come after would wait behind this one.
pg::NextMove begin_stay(StepContext *context, const pg::Obstacles &obstacles);

// After a try for `mode` on the context's leaves has failed with 55P03: the pause before the next
// one, or, once ddl_lock_retry is over, the end of the step with an error that names who is in the
// way.  Outside a transaction.
Batch stay_away(StepContext *context, ErrorData *error, int mode);

// The locks were there, or it is no lock that the step waits for any more.
void end_lock_wait(StepContext *context);

// In a batch that asks for no strong lock of its own: where one has waited in vain lately, sees
// what this one waits for.
void watch_batch(const StepContext &context);

// Shows in progress what a batch waited for that needs no strong lock of its own: `error` is its
// 55P03.  Outside a transaction.
void show_lock_wait(StepContext *context, const ErrorData &error);

} // namespace safe_migrate::jobs
