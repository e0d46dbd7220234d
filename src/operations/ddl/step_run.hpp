// What the runners of statement steps share.
#pragma once
#include "jobs/step_context.hpp"
#include "operations/ddl/step.hpp"

namespace safe_migrate::operations::ddl {

struct StepRun;

// What a step finds before it does anything.
enum class Found : uint8_t {
	nothing, // it has to be done
	wreck,	 // of an earlier try: to be taken away first, by `cleanup`
	done
};
// Looks at the catalog, inside a batch or a transaction of the worker's; errors end the step.
using Look = Found (*)(StepRun *run);

struct StepRun {
	jobs::StepContext *context;
	RecipeStep *step;
	int strongest; // lock mode
	Look look;
	TimestampTz held_at; // from when on its locks have been held, of the last try; 0: not yet
	int hold_limit_ms;	 // for who waits behind them; 0: none
	bool cleaned;		 // by clean_up(): there was something
	bool cleaning;		 // it failed or was cancelled: a wreck is to be taken away, not to be used
};

// Error 42704 where the names in the step's SQL have come to mean something else.
void check_target(const RecipeStep &step);
// Error 42710 where others have taken a name that the server would have chosen (RecipeStep::names,
// or nullptr).
void check_names(const char *names);
// Error SM001 where the statement would lose rows that it would not have lost when it was queued,
// and the guard does not let it; not where it was overridden then.
void ask_again(const jobs::StepContext &context, const RecipeStep &step);

// What the step has dropped for good earlier ones of its job can't take back any more: their undo
// would be an error.
void forget_lost_undo(const StepRun &run);

// By the step's own queries.
Found look_by_queries(StepRun *run);

// Inside a batch: the step's locks, in their order.  One stay in the queue is all of them together:
// each waits for what the others have left.
void take_locks(StepRun *run);
// Its two parts, for who takes them in another way: when the stay is over (jobs/lock_wait.hpp,
// errors too), and lock_timeout set to what is left of it.
TimestampTz begin_stay(const StepRun &run);
TimestampTz begin_stay_among(jobs::StepContext *context, const pg::Obstacles &obstacles);
void stay_until(TimestampTz deadline);

// Before a batch that asks for AccessExclusiveLock: stop also where the patience is over, as
// context->failure says then.
jobs::Go wait_for_standbys(StepRun *run);

// After the step has failed for good: what stands in the way and what is left goes into the error
// that the job keeps.
void explain_failure(const StepRun &run);

// The two ways to run one, to its end.
void run_in_transaction(StepRun *run);
void run_at_top_level(StepRun *run);

// What the runner of a kind comes down to: the leading worker reads the step and runs it in one of
// these ways; `phase` as in StepContext::set_phase().
void run_step(jobs::StepContext *context, const char *phase, Look look, void (*way)(StepRun *));

// Takes away what an earlier try left, or the failed step; nullptr when there is nothing any more.
ErrorData *clean_up(StepRun *run, bool top_level);
// False where something may be left.
bool clean_up_after_failure(StepRun *run, bool top_level);

// A statement with transactions of its own, as the job's owner, under pinned settings and without
// a lock_timeout.
ErrorData *run_own_top_level(const char *sql);

} // namespace safe_migrate::operations::ddl
