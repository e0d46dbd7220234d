// The readings as a person sees them in progress.
#include "jobs/throttle/signal_table.hpp"

#include <cstdio>
#include <cstring>

#include "pg/pure.hpp"

namespace safe_migrate::jobs::throttle {

namespace {

// The judged replica that this signal finds worst; nullptr when there is none.
const ReplicaReading *worst_replica(const Signal &signal, const Readings &readings)
{
	const ReplicaReading *worst = nullptr;
	for (int i = 0; i < readings.n_replicas; i++) {
		const ReplicaReading *replica = &readings.replicas[i];
		int64_t value = signal.replica_value(*replica);
		if (replica->ignored || value == not_applicable)
			continue;
		if (worst == nullptr || value > signal.replica_value(*worst))
			worst = replica;
	}
	return worst;
}

void describe_replica(const Signal &signal, const Readings &readings, const char *limit, Text &text)
{
	const ReplicaReading *worst = worst_replica(signal, readings);
	if (readings.n_replicas < 0)
		snprintf(text, sizeof(text), "%s unknown, limit %s", signal.name, limit);
	else if (worst == nullptr)
		snprintf(text, sizeof(text), "%s none, limit %s", signal.name, limit);
	else if (signal.replica_value(*worst) < 0)
		snprintf(text, sizeof(text), "%s unknown, limit %s (%s \"%s\")", signal.name, limit,
				 kind_name(worst->kind), worst->name);
	else
		snprintf(text, sizeof(text), "%s %s%s of %s (%s \"%s\")", signal.name,
				 worst->at_least && signal.unit == Unit::microseconds ? "at least " : "",
				 Human(signal.replica_value(*worst), signal.unit).text, limit,
				 kind_name(worst->kind), worst->name);
}

void describe_server(const Signal &signal, const Readings &readings, const char *limit, Text &text)
{
	int64_t value = signal.value(readings);
	if (value < 0)
		snprintf(text, sizeof(text), "%s unknown%s%s", signal.name,
				 signal.is_switch ? "" : ", limit ", signal.is_switch ? "" : limit);
	else if (signal.is_switch)
		snprintf(text, sizeof(text), "%s %s", signal.name, value > 0 ? "stop" : "go");
	else
		snprintf(text, sizeof(text), "%s %s of %s", signal.name, Human(value, signal.unit).text,
				 limit);
}

} // namespace

void describe_readings(const Readings &readings, const Limits &limits, char *text, size_t size)
{
	size_t used = 0;
	text[0] = '\0';
	for (int i = 0; i < n_signals; i++) {
		const Signal &signal = signals[i];
		int64_t limit = signal.limit(limits);
		if (limit == no_limit)
			continue;
		Text one;
		Human limit_text(limit, signal.unit);
		if (signal.replica_value != nullptr)
			describe_replica(signal, readings, limit_text.text, one);
		else
			describe_server(signal, readings, limit_text.text, one);
		used += static_cast<size_t>(
			snprintf(text + used, size - used, "%s%s", used > 0 ? ", " : "", one));
		if (used >= size)
			return;
	}
}

int64_t worst_replica_lag_us(const Readings &readings)
{
	int64_t worst = unknown;
	for (int i = 0; i < readings.n_replicas; i++) {
		const ReplicaReading &replica = readings.replicas[i];
		if (!replica.ignored && replica.kind != ReplicaKind::inactive_slot &&
			replica.lag_us > worst)
			worst = replica.lag_us;
	}
	return worst;
}

} // namespace safe_migrate::jobs::throttle
