// The one table of signals: what each is called, reads, is limited by and says.
#pragma once
#include "jobs/throttle/throttle.hpp"

#include <cstddef>

namespace safe_migrate::jobs::throttle {

enum class Unit : uint8_t { microseconds, bytes, bytes_per_second, count };

// What a signal says of one subject (a replica, or the server) against its limits.
struct Finding {
	int64_t value;
	int64_t limit;
	Unit unit;
	bool holds_on; // under the limit already, but not down to half of it
};

using Text = char[sizeof(Verdict::reason)];

// A value for a person: "12.3 s", "45 MB".
struct Human {
	char text[32];
	Human(int64_t value, Unit unit);
};

// The reading of a replica that a signal has nothing to say of.
constexpr int64_t not_applicable = -2;

struct Signal {
	const char *name;	 // as in Verdict::signal
	const char *setting; // without prefix
	bool own;			 // read by the worker itself: not stale when the sampled ones are
	Unit unit;
	int64_t (*limit)(const Limits &);
	int64_t (*value)(const Readings &);				  // of the server; or
	int64_t (*replica_value)(const ReplicaReading &); // of each replica
	void (*say)(Text &, const Finding &, const Readings &, const ReplicaReading *);
	bool is_switch = false;		   // on or off: its limit says nothing
	bool explains_failure = false; // Readings::query_error belongs to it
};

const char *kind_name(ReplicaKind kind);

extern const Signal signals[];
extern const int n_signals;

} // namespace safe_migrate::jobs::throttle
