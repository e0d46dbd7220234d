// Readings + limits + what was said last → go or stop, and why.
#include "jobs/throttle/signal_table.hpp"

#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "pg/pure.hpp"

namespace safe_migrate::jobs::throttle {

namespace {

// Over the limit, or, once stopped, over half of it.
bool is_over(int64_t value, int64_t limit, bool was_stopped)
{
	return value > (was_stopped ? limit / 2 : limit);
}

bool was_stopped(const State &state, const char *replica, uint32_t bit)
{
	for (int i = 0; i < state.n_replicas; i++)
		if (strcmp(state.replicas[i].name, replica) == 0)
			return (state.replicas[i].stopped & bit) != 0;
	return false;
}

void remember(State &state, const char *replica, uint32_t bit)
{
	int i = 0;
	while (i < state.n_replicas && strcmp(state.replicas[i].name, replica) != 0)
		i++;
	if (i == max_replicas)
		return;
	if (i == state.n_replicas) {
		state.n_replicas++;
		state.replicas[i].stopped = 0;
		snprintf(state.replicas[i].name, name_length, "%s", replica);
	}
	state.replicas[i].stopped |= bit;
}

// The verdict of one call while it is put together: the first reason stands.
struct Judgement {
	const Readings &readings;
	const Limits &limits;
	const State &before;
	State after;
	Verdict verdict;
	int64_t age_us; // of the sampled readings

	bool stale() const { return age_us > limits.stale_after_us; }

	bool first(const Signal &signal)
	{
		bool is_first = !verdict.stop;
		verdict.stop = true;
		if (is_first)
			verdict.signal = signal.name;
		return is_first;
	}

	__attribute__((format(printf, 2, 3))) void explain(const char *format, ...)
	{
		va_list arguments;
		va_start(arguments, format);
		vsnprintf(verdict.reason, sizeof(verdict.reason), format, arguments);
		va_end(arguments);
	}

	void stop_unknown(const Signal &signal, const ReplicaReading *replica)
	{
		if (!limits.unknown_stops || !first(signal))
			return;
		if (!signal.own && readings.sampled_at_us == 0)
			explain("%s is unknown: nothing has been read yet", signal.name);
		else if (!signal.own && stale())
			explain("%s is unknown: the last reading is %s old", signal.name,
					Human(age_us, Unit::microseconds).text);
		else if (replica != nullptr && replica->at_least)
			explain("%s of %s \"%s\" is unknown: it was behind before measuring began", signal.name,
					kind_name(replica->kind), replica->name);
		else if (replica != nullptr)
			explain("%s of %s \"%s\" is unknown", signal.name, kind_name(replica->kind),
					replica->name);
		else if (signal.explains_failure && readings.query_error[0] != '\0')
			explain("the job's throttle query failed: %s", readings.query_error);
		else
			explain("%s is unknown", signal.name);
	}

	void stop_over(const Signal &signal, int64_t value, int64_t limit,
				   const ReplicaReading *replica)
	{
		if (first(signal))
			signal.say(verdict.reason, Finding{value, limit, signal.unit, value <= limit}, readings,
					   replica);
	}

	void judge_server(const Signal &signal, uint32_t bit, int64_t limit)
	{
		int64_t value = signal.value(readings);
		if (value < 0) {
			after.stopped |= before.stopped & bit; // half its limit still holds when it is back
			stop_unknown(signal, nullptr);
		} else if (is_over(value, limit, (before.stopped & bit) != 0)) {
			after.stopped |= bit;
			stop_over(signal, value, limit, nullptr);
		}
	}

	void judge_replica(const Signal &signal, uint32_t bit, int64_t limit,
					   const ReplicaReading &replica)
	{
		int64_t value = signal.replica_value(replica);
		if (replica.ignored || value == not_applicable)
			return;
		bool stopped = was_stopped(before, replica.name, bit);
		bool over = value >= 0 && is_over(value, limit, stopped);
		bool is_unknown = value < 0 || (replica.at_least && signal.unit == Unit::microseconds);
		if (over || (is_unknown && stopped))
			remember(after, replica.name, bit);
		if (over)
			stop_over(signal, value, limit, &replica);
		else if (is_unknown)
			stop_unknown(signal, &replica);
	}

	void judge_signal(const Signal &signal, uint32_t bit)
	{
		int64_t limit = signal.limit(limits);
		if (limit == no_limit)
			return;
		bool missing = signal.replica_value != nullptr && readings.n_replicas < 0;
		if ((!signal.own && stale()) || missing) {
			keep(bit);
			stop_unknown(signal, nullptr);
		} else if (signal.replica_value == nullptr)
			judge_server(signal, bit, limit);
		else
			for (int i = 0; i < readings.n_replicas; i++)
				judge_replica(signal, bit, limit, readings.replicas[i]);
	}

	void keep(uint32_t bit)
	{
		after.stopped |= before.stopped & bit;
		for (int i = 0; i < before.n_replicas; i++)
			if ((before.replicas[i].stopped & bit) != 0)
				remember(after, before.replicas[i].name, bit);
	}
};

} // namespace

Verdict judge(const Readings &readings, const Limits &limits, State &state, int64_t now_us)
{
	Judgement judgement{
		readings, limits, state, {}, {false, nullptr, {}}, now_us - readings.sampled_at_us};
	for (int i = 0; i < n_signals; i++)
		judgement.judge_signal(signals[i], 1u << i);
	state = judgement.after;
	return judgement.verdict;
}

} // namespace safe_migrate::jobs::throttle
