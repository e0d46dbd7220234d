// Readings + limits + what was said last → go or stop, and why.
#include "jobs/throttle/throttle.hpp"

#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "pg/pure.hpp"

namespace safe_migrate::jobs::throttle {

namespace {

enum class Unit : uint8_t { microseconds, bytes, bytes_per_second, count };

// What a signal says of one subject (a replica, or the server) against its limits.
struct Finding {
	int64_t value;
	int64_t limit;
	Unit unit;
	bool holds_on; // under the limit already, but not down to half of it
};

using Text = char[sizeof(Verdict::reason)];

__attribute__((format(printf, 2, 3))) void write(Text &text, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
}

// A value for a person: "12.3 s", "45 MB".
struct Human {
	char text[32];
	Human(int64_t value, Unit unit)
	{
		switch (unit) {
			case Unit::microseconds:
				duration(value);
				return;
			case Unit::bytes:
				size(value, "");
				return;
			case Unit::bytes_per_second:
				size(value, "/s");
				return;
			case Unit::count:
				snprintf(text, sizeof(text), "%lld", static_cast<long long>(value));
				return;
		}
	}

private:
	void duration(int64_t us)
	{
		double s = static_cast<double>(us) / 1e6;
		if (us < 1'000'000)
			snprintf(text, sizeof(text), "%lld ms", static_cast<long long>(us / 1000));
		else if (s < 100)
			snprintf(text, sizeof(text), "%.*f s", us % 1'000'000 == 0 ? 0 : 1, s);
		else if (s < 100 * 60)
			snprintf(text, sizeof(text), "%.0f min", s / 60);
		else
			snprintf(text, sizeof(text), "%.0f h", s / 3600);
	}

	void size(int64_t bytes, const char *per)
	{
		constexpr const char *names[] = {"bytes", "kB", "MB", "GB", "TB"};
		double value = static_cast<double>(bytes);
		int name = 0;
		while (value >= 1024 && name < 4) {
			value /= 1024;
			name++;
		}
		bool whole =
			name == 0 || value >= 100 || value == static_cast<double>(static_cast<int64_t>(value));
		snprintf(text, sizeof(text), "%.*f %s%s", whole ? 0 : 1, value, names[name], per);
	}
};

// ", limit 10 s" and, on the way down, where the job goes on.
struct LimitText {
	char text[64];
	explicit LimitText(const Finding &f)
	{
		if (f.holds_on)
			snprintf(text, sizeof(text), "goes on at %s", Human(f.limit / 2, f.unit).text);
		else
			snprintf(text, sizeof(text), "limit %s", Human(f.limit, f.unit).text);
	}
};

// ---------------------------------------------------------------- the signals, one by one

const char *kind_name(ReplicaKind kind)
{
	switch (kind) {
		case ReplicaKind::standby:
			return "standby";
		case ReplicaKind::subscriber:
			return "subscriber";
		case ReplicaKind::inactive_slot:
			return "inactive slot";
	}
	return "";
}

constexpr int64_t not_applicable = -2;

int64_t lag_in_time(const ReplicaReading &replica)
{
	return replica.kind == ReplicaKind::inactive_slot ? not_applicable : replica.lag_us;
}

int64_t lag_in_bytes(const ReplicaReading &replica)
{
	return replica.kind == ReplicaKind::inactive_slot ? not_applicable : replica.lag_bytes;
}

int64_t retained_bytes(const ReplicaReading &replica)
{
	return replica.kind == ReplicaKind::inactive_slot ? replica.lag_bytes : not_applicable;
}

void say_lag(Text &text, const Finding &f, const Readings &, const ReplicaReading *replica)
{
	bool by_time = f.unit == Unit::microseconds;
	int64_t other = by_time ? replica->lag_bytes : replica->lag_us;
	Human beside(other, by_time ? Unit::bytes : Unit::microseconds);
	bool known = other >= 0;
	write(text, "%s \"%s\" is %s%s%s%s behind, %s", kind_name(replica->kind), replica->name,
		  Human(f.value, f.unit).text, known ? " (" : "", known ? beside.text : "",
		  known ? ")" : "", LimitText(f).text);
}

void say_retained(Text &text, const Finding &f, const Readings &, const ReplicaReading *replica)
{
	write(text, "inactive slot \"%s\" retains %s of WAL, %s", replica->name,
		  Human(f.value, f.unit).text, LimitText(f).text);
}

void say_waiters(Text &text, const Finding &f, const Readings &, const ReplicaReading *)
{
	write(text, "%s session%s waited for the worker's locks, %s", Human(f.value, f.unit).text,
		  f.value == 1 ? "" : "s", LimitText(f).text);
}

void say_horizon(Text &text, const Finding &f, const Readings &readings, const ReplicaReading *)
{
	bool known = readings.horizon_holder[0] != '\0';
	write(text, "the oldest snapshot%s%s%s is %s transactions old, %s", known ? " (" : "",
		  known ? readings.horizon_holder : "", known ? ")" : "", Human(f.value, f.unit).text,
		  LimitText(f).text);
}

void say_wal(Text &text, const Finding &f, const Readings &, const ReplicaReading *)
{
	write(text, "the server writes %s of WAL, %s", Human(f.value, f.unit).text, LimitText(f).text);
}

void say_archive(Text &text, const Finding &f, const Readings &, const ReplicaReading *)
{
	write(text, "%s WAL segments wait to be archived, %s", Human(f.value, f.unit).text,
		  LimitText(f).text);
}

void say_checkpoint(Text &text, const Finding &, const Readings &, const ReplicaReading *)
{
	write(text, "a requested checkpoint runs");
}

void say_active(Text &text, const Finding &f, const Readings &, const ReplicaReading *)
{
	write(text, "%s client backend%s active, %s", Human(f.value, f.unit).text,
		  f.value == 1 ? " is" : "s are", LimitText(f).text);
}

void say_writes(Text &text, const Finding &f, const Readings &, const ReplicaReading *)
{
	write(text, "others write %s rows/s to the table, %s", Human(f.value, f.unit).text,
		  LimitText(f).text);
}

void say_query(Text &text, const Finding &, const Readings &, const ReplicaReading *)
{
	write(text, "the job's throttle query returned true");
}

// ---------------------------------------------------------------- the table

struct Signal {
	SignalInfo info;
	bool own; // read by the worker itself: not stale when the sampled ones are
	Unit unit;
	int64_t (*limit)(const Limits &);
	int64_t (*value)(const Readings &);				  // of the server; or
	int64_t (*replica_value)(const ReplicaReading &); // of each replica
	void (*say)(Text &, const Finding &, const Readings &, const ReplicaReading *);
};

constexpr Signal signals[] = {
	{{"replica lag", "max_replica_lag"},
	 false,
	 Unit::microseconds,
	 [](const Limits &l) { return l.replica_lag_us; },
	 nullptr,
	 lag_in_time,
	 say_lag},
	{{"replica lag in bytes", "max_replica_lag_bytes"},
	 false,
	 Unit::bytes,
	 [](const Limits &l) { return l.replica_lag_bytes; },
	 nullptr,
	 lag_in_bytes,
	 say_lag},
	{{"inactive slot", "max_slot_retained"},
	 false,
	 Unit::bytes,
	 [](const Limits &l) { return l.slot_retained_bytes; },
	 nullptr,
	 retained_bytes,
	 say_retained},
	{{"lock waiters", "max_lock_waiters"},
	 true,
	 Unit::count,
	 [](const Limits &l) { return l.lock_waiters; },
	 [](const Readings &r) -> int64_t { return r.lock_waiters; },
	 nullptr,
	 say_waiters},
	{{"horizon age", "max_horizon_age"},
	 true,
	 Unit::count,
	 [](const Limits &l) { return l.horizon_age; },
	 [](const Readings &r) { return r.horizon_age; },
	 nullptr,
	 say_horizon},
	{{"WAL rate", "max_wal_rate"},
	 false,
	 Unit::bytes_per_second,
	 [](const Limits &l) { return l.wal_rate; },
	 [](const Readings &r) { return r.wal_bytes_per_second; },
	 nullptr,
	 say_wal},
	{{"archive backlog", "max_archive_backlog"},
	 false,
	 Unit::count,
	 [](const Limits &l) { return l.archive_backlog; },
	 [](const Readings &r) { return r.archive_backlog; },
	 nullptr,
	 say_archive},
	{{"checkpoint", "pause_for_checkpoints"},
	 false,
	 Unit::count,
	 [](const Limits &l) { return l.checkpoints ? 0 : no_limit; },
	 [](const Readings &r) -> int64_t { return r.checkpoint_requested; },
	 nullptr,
	 say_checkpoint},
	{{"active backends", "max_active_backends"},
	 false,
	 Unit::count,
	 [](const Limits &l) { return l.active_backends; },
	 [](const Readings &r) -> int64_t { return r.active_backends; },
	 nullptr,
	 say_active},
	{{"table writes", "max_table_write_rate"},
	 true,
	 Unit::count,
	 [](const Limits &l) { return l.table_write_rate; },
	 [](const Readings &r) { return r.table_writes_per_second; },
	 nullptr,
	 say_writes},
	{{"throttle query", "throttle_query"},
	 true,
	 Unit::count,
	 [](const Limits &l) { return l.has_query ? 0 : no_limit; },
	 [](const Readings &r) -> int64_t { return r.query_says_stop; },
	 nullptr,
	 say_query},
};
constexpr int n_signals = static_cast<int>(sizeof(signals) / sizeof(signals[0]));
static_assert(n_signals <= 32, "a bit of State::stopped each");

// ---------------------------------------------------------------- judging

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
			verdict.signal = signal.info.name;
		return is_first;
	}

	void stop_unknown(const Signal &signal, const ReplicaReading *replica)
	{
		if (!limits.unknown_stops || !first(signal))
			return;
		if (!signal.own && readings.sampled_at_us == 0)
			write(verdict.reason, "%s is unknown: nothing has been read yet", signal.info.name);
		else if (!signal.own && stale())
			write(verdict.reason, "%s is unknown: the last reading is %s old", signal.info.name,
				  Human(age_us, Unit::microseconds).text);
		else if (replica != nullptr && replica->at_least)
			write(verdict.reason,
				  "%s of %s \"%s\" is unknown: it was behind before measuring began",
				  signal.info.name, kind_name(replica->kind), replica->name);
		else if (replica != nullptr)
			write(verdict.reason, "%s of %s \"%s\" is unknown", signal.info.name,
				  kind_name(replica->kind), replica->name);
		else if (signal.say == say_query && readings.query_error[0] != '\0')
			write(verdict.reason, "the job's throttle query failed: %s", readings.query_error);
		else
			write(verdict.reason, "%s is unknown", signal.info.name);
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

const SignalInfo *all_signals(int *n)
{
	static_assert(n_signals > 0);
	static constexpr auto infos = [] {
		struct {
			SignalInfo all[n_signals];
		} list{};
		for (int i = 0; i < n_signals; i++)
			list.all[i] = signals[i].info;
		return list;
	}();
	*n = n_signals;
	return infos.all;
}

} // namespace safe_migrate::jobs::throttle
