// The state machine of a job: which action leads from which state where.  Drawn in README.md.
#pragma once
#include "jobs/job.hpp"

namespace safe_migrate::jobs {

enum class Action : uint8_t { start, pause, resume, cancel, retry, succeed, fail };
constexpr const char *action_names[] = {"start", "pause",	"resume", "cancel",
										"retry", "succeed", "fail"};
constexpr const char *name_of(Action a) { return action_names[static_cast<int>(a)]; }

enum class Effect : uint8_t {
	moves,	 // to `to`
	repeats, // it is there already: a NOTICE, nothing else
	impossible
};

struct Transition {
	Effect effect;
	JobState to;
};

Transition transition(JobState from, Action action);

// What is to be done about an error of a batch.
struct Retry {
	bool again;
	int64_t wait_us;
};

// SQLSTATE as five characters; attempt counts from 1 the errors since the last batch that
// committed; `random` in [0,1) spreads the pauses.  Deadlocks, serialization failures, lock
// timeouts, a cancelled batch and a shortage of resources may pass by themselves.
Retry retry_after(const char *sqlstate, int attempt, double random);

// The pause before a worker that ended without a word is started again (1 = first time).
int64_t restart_pause_us(int failures);

} // namespace safe_migrate::jobs
