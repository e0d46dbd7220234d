#include "jobs/throttle/signal_table.hpp"

#include <cstdarg>
#include <cstdio>

#include "pg/pure.hpp"

namespace safe_migrate::jobs::throttle {

namespace {

using Text = char[sizeof(Verdict::reason)];

__attribute__((format(printf, 2, 3))) void write(Text &text, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
}

void write_duration(char *text, size_t size, int64_t us)
{
	double s = static_cast<double>(us) / 1e6;
	if (us < 1'000'000)
		snprintf(text, size, "%lld ms", static_cast<long long>(us / 1000));
	else if (s < 100)
		snprintf(text, size, "%.*f s", us % 1'000'000 == 0 ? 0 : 1, s);
	else if (s < 100 * 60)
		snprintf(text, size, "%.0f min", s / 60);
	else
		snprintf(text, size, "%.0f h", s / 3600);
}

void write_size(char *text, size_t size, int64_t bytes, const char *per)
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
	snprintf(text, size, "%.*f %s%s", whole ? 0 : 1, value, names[name], per);
}

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

} // namespace

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

Human::Human(int64_t value, Unit unit)
{
	switch (unit) {
		case Unit::microseconds:
			write_duration(text, sizeof(text), value);
			return;
		case Unit::bytes:
			write_size(text, sizeof(text), value, "");
			return;
		case Unit::bytes_per_second:
			write_size(text, sizeof(text), value, "/s");
			return;
		case Unit::count:
			snprintf(text, sizeof(text), "%lld", static_cast<long long>(value));
			return;
	}
}

constexpr Signal signals[] = {
	{"replica lag", "max_replica_lag", false, Unit::microseconds,
	 [](const Limits &l) { return l.replica_lag_us; }, nullptr, lag_in_time, say_lag},
	{"replica lag in bytes", "max_replica_lag_bytes", false, Unit::bytes,
	 [](const Limits &l) { return l.replica_lag_bytes; }, nullptr, lag_in_bytes, say_lag},
	{"inactive slot", "max_slot_retained", false, Unit::bytes,
	 [](const Limits &l) { return l.slot_retained_bytes; }, nullptr, retained_bytes, say_retained},
	{"lock waiters", "max_lock_waiters", true, Unit::count,
	 [](const Limits &l) { return l.lock_waiters; },
	 [](const Readings &r) -> int64_t { return r.lock_waiters; }, nullptr, say_waiters},
	{"horizon age", "max_horizon_age", true, Unit::count,
	 [](const Limits &l) { return l.horizon_age; }, [](const Readings &r) { return r.horizon_age; },
	 nullptr, say_horizon},
	{"WAL rate", "max_wal_rate", false, Unit::bytes_per_second,
	 [](const Limits &l) { return l.wal_rate; },
	 [](const Readings &r) { return r.wal_bytes_per_second; }, nullptr, say_wal},
	{"archive backlog", "max_archive_backlog", false, Unit::count,
	 [](const Limits &l) { return l.archive_backlog; },
	 [](const Readings &r) { return r.archive_backlog; }, nullptr, say_archive},
	{"checkpoint", "pause_for_checkpoints", false, Unit::count,
	 [](const Limits &l) { return l.checkpoints ? 0 : no_limit; },
	 [](const Readings &r) -> int64_t { return r.checkpoint_requested; }, nullptr, say_checkpoint,
	 true},
	{"active backends", "max_active_backends", false, Unit::count,
	 [](const Limits &l) { return l.active_backends; },
	 [](const Readings &r) -> int64_t { return r.active_backends; }, nullptr, say_active},
	{"table writes", "max_table_write_rate", true, Unit::count,
	 [](const Limits &l) { return l.table_write_rate; },
	 [](const Readings &r) { return r.table_writes_per_second; }, nullptr, say_writes},
	{"throttle query", "throttle_query", true, Unit::count,
	 [](const Limits &l) { return l.has_query ? 0 : no_limit; },
	 [](const Readings &r) -> int64_t { return r.query_says_stop; }, nullptr, say_query, true,
	 true},
};
const int n_signals = static_cast<int>(sizeof(signals) / sizeof(signals[0]));
static_assert(sizeof(signals) / sizeof(signals[0]) <= 32, "a bit of State::stopped each");

} // namespace safe_migrate::jobs::throttle
