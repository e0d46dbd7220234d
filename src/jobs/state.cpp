// Decisions of the job engine, without a server: see state.hpp.
#include "jobs/state.hpp"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "pg/pure.hpp"

namespace safe_migrate::jobs {

Transition transition(JobState from, Action action)
{
	constexpr auto moves = [](JobState to) { return Transition{Effect::moves, to}; };
	const Transition repeats{Effect::repeats, from};
	const Transition impossible{Effect::impossible, from};
	const bool active = from == JobState::queued || from == JobState::running;

	switch (action) {
		case Action::start:
			return active ? moves(JobState::running) : impossible;
		case Action::pause:
			if (from == JobState::paused)
				return repeats;
			return active ? moves(JobState::paused) : impossible;
		case Action::resume:
			if (active)
				return repeats;
			return from == JobState::paused ? moves(JobState::queued) : impossible;
		case Action::cancel:
			if (from == JobState::cancelled)
				return repeats;
			return from == JobState::succeeded ? impossible : moves(JobState::cancelled);
		case Action::retry:
			if (active)
				return repeats;
			return from == JobState::failed || from == JobState::cancelled ? moves(JobState::queued)
																		   : impossible;
		case Action::succeed:
			return from == JobState::running ? moves(JobState::succeeded) : impossible;
		case Action::fail:
			return active ? moves(JobState::failed) : impossible;
	}
	return impossible;
}

namespace {

struct RetryRule {
	std::string_view prefix; // of the SQLSTATE
	int attempts;			 // in a row
	int64_t first_us, longest_us;
};

// Lock timeouts go on for about an hour; a full disk or no memory for a few minutes, then
// somebody has to act, and retry() goes on where the job stood.
constexpr RetryRule retry_rules[] = {
	{"40P01", 200, 100'000, 10'000'000},  // deadlock_detected
	{"40001", 200, 50'000, 10'000'000},	  // serialization_failure
	{"55P03", 400, 100'000, 10'000'000},  // lock_not_available
	{"57014", 20, 1'000'000, 30'000'000}, // query_canceled: somebody cancelled the batch
	{"53", 12, 1'000'000, 60'000'000},	  // insufficient_resources: disk, memory, connections
	{"57P03", 20, 1'000'000, 30'000'000}, // cannot_connect_now
	{"58030", 12, 1'000'000, 60'000'000}, // io_error
};

} // namespace

Retry retry_after(const char *sqlstate, int attempt, double random)
{
	for (const RetryRule &rule : retry_rules) {
		if (!std::string_view(sqlstate).starts_with(rule.prefix))
			continue;
		if (attempt > rule.attempts)
			return {false, 0};
		double wait = static_cast<double>(rule.first_us) * std::pow(2.0, std::min(attempt - 1, 20));
		wait = std::min(wait, static_cast<double>(rule.longest_us));
		return {true, static_cast<int64_t>(wait * (0.5 + random / 2))};
	}
	return {false, 0};
}

int64_t restart_pause_us(int failures)
{
	constexpr int64_t first = 500'000;
	constexpr int64_t longest = 60'000'000;
	return std::min(longest, first << std::min(std::max(failures - 1, 0), 10));
}

} // namespace safe_migrate::jobs
