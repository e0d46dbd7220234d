// judge(): each signal alone, its start and stop limits, what is unknown, what it says.
#include "jobs/throttle/signal_table.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>
#include <set>
#include <string>

#include "pg/pure.hpp"

namespace safe_migrate::jobs::throttle {
namespace {

constexpr int64_t now = 1'000'000'000;
constexpr int64_t second = 1'000'000;
constexpr int64_t MB = 1024 * 1024;

Readings calm()
{
	Readings r;
	r.sampled_at_us = now - second / 4;
	r.n_replicas = 0;
	r.horizon_age = 0;
	r.wal_bytes_per_second = 0;
	r.archive_backlog = 0;
	r.checkpoint_requested = 0;
	r.active_backends = 0;
	r.lock_waiters = 0;
	r.table_writes_per_second = 0;
	r.query_says_stop = 0;
	return r;
}

Limits all_limits()
{
	Limits l;
	l.replica_lag_us = 10 * second;
	l.replica_lag_bytes = 100 * MB;
	l.slot_retained_bytes = 1024 * MB;
	l.lock_waiters = 0;
	l.horizon_age = 1000;
	l.wal_rate = 16 * MB;
	l.archive_backlog = 20;
	l.checkpoints = true;
	l.active_backends = 8;
	l.table_write_rate = 100;
	l.has_query = true;
	return l;
}

ReplicaReading &add(Readings &r, const char *name, ReplicaKind kind, int64_t us, int64_t bytes)
{
	ReplicaReading &replica = r.replicas[r.n_replicas++];
	replica = {};
	strncpy(replica.name, name, name_length - 1);
	replica.kind = kind;
	replica.lag_us = us;
	replica.lag_bytes = bytes;
	return replica;
}

Readings standby(int64_t us, int64_t bytes = 0)
{
	Readings r = calm();
	add(r, "s1", ReplicaKind::standby, us, bytes);
	return r;
}

// One verdict without a past.
Verdict fresh(const Readings &r, const Limits &l)
{
	State state;
	return judge(r, l, state, now);
}

TEST(Throttle, CalmServerLetsAllGo)
{
	Verdict v = fresh(calm(), all_limits());
	EXPECT_FALSE(v.stop);
	EXPECT_EQ(v.signal, nullptr);
	EXPECT_STREQ(v.reason, "");
}

TEST(Throttle, WithoutLimitsNothingStopsNotEvenNoReading)
{
	Readings r = standby(1000 * second, 1000 * MB);
	r.checkpoint_requested = r.query_says_stop = 1;
	EXPECT_FALSE(fresh(r, Limits{}).stop);
	EXPECT_FALSE(fresh(Readings{}, Limits{}).stop);
}

TEST(Throttle, ReplicaLagInTimeStopsOverLimitAndGoesOnAtHalf)
{
	State state;
	Limits l = all_limits();
	EXPECT_FALSE(judge(standby(10 * second), l, state, now).stop);
	Verdict v = judge(standby(12'300'000, 45 * MB), l, state, now);
	EXPECT_TRUE(v.stop);
	EXPECT_STREQ(v.signal, "replica lag");
	EXPECT_STREQ(v.reason, "standby \"s1\" is 12.3 s (45 MB) behind, limit 10 s");
	v = judge(standby(5'100'000, MB), l, state, now);
	EXPECT_TRUE(v.stop);
	EXPECT_STREQ(v.reason, "standby \"s1\" is 5.1 s (1 MB) behind, goes on at 5 s");
	EXPECT_FALSE(judge(standby(5 * second), l, state, now).stop);
	EXPECT_FALSE(judge(standby(9 * second), l, state, now).stop) << "the limit holds in full again";
}

TEST(Throttle, ReplicaLagInBytesStopsOverLimitAndGoesOnAtHalf)
{
	State state;
	Limits l = all_limits();
	EXPECT_FALSE(judge(standby(0, 100 * MB), l, state, now).stop);
	Verdict v = judge(standby(second, 101 * MB), l, state, now);
	EXPECT_STREQ(v.signal, "replica lag in bytes");
	EXPECT_STREQ(v.reason, "standby \"s1\" is 101 MB (1 s) behind, limit 100 MB");
	EXPECT_TRUE(judge(standby(0, 51 * MB), l, state, now).stop);
	EXPECT_FALSE(judge(standby(0, 50 * MB), l, state, now).stop);
}

TEST(Throttle, HalfTheLimitIsForTheReplicaThatStopped)
{
	State state;
	Limits l = all_limits();
	Readings r = standby(11 * second);
	add(r, "s2", ReplicaKind::subscriber, 7 * second, 0);
	EXPECT_TRUE(judge(r, l, state, now).stop);
	r.replicas[0].lag_us = 0;
	EXPECT_FALSE(judge(r, l, state, now).stop) << "s2 was never over the limit";
}

TEST(Throttle, EveryReplicaOverTheLimitHasToComeDownToHalf)
{
	State state;
	Limits l = all_limits();
	Readings r = standby(11 * second);
	add(r, "sub", ReplicaKind::subscriber, 12 * second, 0);
	Verdict v = judge(r, l, state, now);
	EXPECT_EQ(std::string(v.reason).rfind("standby \"s1\"", 0), 0u) << v.reason;
	r.replicas[0].lag_us = 0;
	r.replicas[1].lag_us = 7 * second;
	v = judge(r, l, state, now);
	EXPECT_TRUE(v.stop);
	EXPECT_EQ(std::string(v.reason).rfind("subscriber \"sub\" is 7 s", 0), 0u) << v.reason;
}

TEST(Throttle, IgnoredReplicaIsNeverJudged)
{
	Readings r = standby(100 * second, 1000 * MB);
	r.replicas[0].ignored = true;
	add(r, "dead", ReplicaKind::inactive_slot, unknown, 100'000 * MB).ignored = true;
	EXPECT_FALSE(fresh(r, all_limits()).stop);
	r.replicas[0].lag_us = unknown;
	EXPECT_FALSE(fresh(r, all_limits()).stop);
}

TEST(Throttle, InactiveSlotCountsByRetainedBytesOnly)
{
	Readings r = calm();
	add(r, "dead", ReplicaKind::inactive_slot, 1000 * second, 1024 * MB);
	State state;
	Limits l = all_limits();
	EXPECT_FALSE(judge(r, l, state, now).stop);
	r.replicas[0].lag_bytes = 2048 * MB;
	Verdict v = judge(r, l, state, now);
	EXPECT_STREQ(v.signal, "inactive slot");
	EXPECT_STREQ(v.reason, "inactive slot \"dead\" retains 2 GB of WAL, limit 1 GB");
	r.replicas[0].lag_bytes = 600 * MB;
	EXPECT_TRUE(judge(r, l, state, now).stop);
	r.replicas[0].lag_bytes = 500 * MB;
	EXPECT_FALSE(judge(r, l, state, now).stop);
}

TEST(Throttle, LowerBoundStopsOverTheLimitAndIsUnknownBelow)
{
	Readings r = standby(3 * second);
	r.replicas[0].at_least = true;
	Limits l = all_limits();
	Verdict v = fresh(r, l);
	EXPECT_TRUE(v.stop);
	EXPECT_STREQ(v.reason,
				 "replica lag of standby \"s1\" is unknown: it was behind before measuring began");
	l.unknown_stops = false;
	EXPECT_FALSE(fresh(r, l).stop);
	r.replicas[0].lag_us = 11 * second;
	EXPECT_TRUE(fresh(r, l).stop);
}

struct ServerSignal {
	const char *name;
	void (*set)(Readings &, int64_t);
	int64_t limit;
	const char *reason; // at twice the limit
};

void PrintTo(const ServerSignal &s, std::ostream *out) { *out << s.name; }

class ServerSignals : public testing::TestWithParam<ServerSignal> {};

TEST_P(ServerSignals, StopsOverLimitAndGoesOnAtHalf)
{
	const ServerSignal &s = GetParam();
	State state;
	Limits l = all_limits();
	auto at = [&](int64_t value) {
		Readings r = calm();
		strcpy(r.horizon_holder, "backend 42");
		s.set(r, value);
		return judge(r, l, state, now);
	};
	EXPECT_FALSE(at(s.limit).stop);
	Verdict v = at(2 * s.limit);
	EXPECT_TRUE(v.stop);
	EXPECT_STREQ(v.signal, s.name);
	EXPECT_STREQ(v.reason, s.reason);
	EXPECT_TRUE(at(s.limit / 2 + 1).stop);
	EXPECT_FALSE(at(s.limit / 2).stop);
	EXPECT_FALSE(at(s.limit).stop);
}

TEST_P(ServerSignals, UnknownStopsOrGoesAsSet)
{
	const ServerSignal &s = GetParam();
	Readings r = calm();
	s.set(r, unknown);
	Limits l = all_limits();
	Verdict v = fresh(r, l);
	EXPECT_TRUE(v.stop);
	EXPECT_STREQ(v.signal, s.name);
	EXPECT_EQ(std::string(v.reason), std::string(s.name) + " is unknown");
	l.unknown_stops = false;
	EXPECT_FALSE(fresh(r, l).stop);
}

TEST_P(ServerSignals, UnknownInBetweenForgetsNotThatItStopped)
{
	const ServerSignal &s = GetParam();
	State state;
	Limits l = all_limits();
	Readings r = calm();
	for (int64_t value : {2 * s.limit, unknown, s.limit}) {
		s.set(r, value);
		EXPECT_TRUE(judge(r, l, state, now).stop) << value;
	}
}

INSTANTIATE_TEST_SUITE_P(
	All, ServerSignals,
	testing::Values(
		ServerSignal{"horizon age", [](Readings &r, int64_t v) { r.horizon_age = v; }, 1000,
					 "the oldest snapshot (backend 42) is 2000 transactions old, limit 1000"},
		ServerSignal{"WAL rate", [](Readings &r, int64_t v) { r.wal_bytes_per_second = v; },
					 16 * MB, "the server writes 32 MB/s of WAL, limit 16 MB/s"},
		ServerSignal{"archive backlog", [](Readings &r, int64_t v) { r.archive_backlog = v; }, 20,
					 "40 WAL segments wait to be archived, limit 20"},
		ServerSignal{"active backends",
					 [](Readings &r, int64_t v) { r.active_backends = static_cast<int32_t>(v); }, 8,
					 "16 client backends are active, limit 8"},
		ServerSignal{"table writes", [](Readings &r, int64_t v) { r.table_writes_per_second = v; },
					 100, "others write 200 rows/s to the table, limit 100"}));

TEST(Throttle, OneWaiterStopsAtLimitZero)
{
	Readings r = calm();
	r.lock_waiters = 1;
	Limits l = all_limits();
	Verdict v = fresh(r, l);
	EXPECT_STREQ(v.signal, "lock waiters");
	EXPECT_STREQ(v.reason, "1 session waited for the worker's locks, limit 0");
	l.lock_waiters = 1;
	EXPECT_FALSE(fresh(r, l).stop);
	r.lock_waiters = 2;
	EXPECT_TRUE(fresh(r, l).stop);
}

TEST(Throttle, RequestedCheckpointStopsWhereAskedFor)
{
	Readings r = calm();
	r.checkpoint_requested = 1;
	Limits l = all_limits();
	Verdict v = fresh(r, l);
	EXPECT_STREQ(v.signal, "checkpoint");
	EXPECT_STREQ(v.reason, "a requested checkpoint runs");
	l.checkpoints = false;
	EXPECT_FALSE(fresh(r, l).stop);
}

TEST(Throttle, QueryStopsWhileTrueAndSaysWhyItFailed)
{
	Readings r = calm();
	r.query_says_stop = 1;
	Verdict v = fresh(r, all_limits());
	EXPECT_STREQ(v.signal, "throttle query");
	EXPECT_STREQ(v.reason, "the job's throttle query returned true");
	r.query_says_stop = -1;
	strcpy(r.query_error, "division by zero");
	EXPECT_STREQ(fresh(r, all_limits()).reason,
				 "the job's throttle query failed: division by zero");
}

TEST(Throttle, StaleReadingsAreUnknownButTheJobsOwnAreNot)
{
	Readings r = calm();
	Limits l = all_limits();
	r.sampled_at_us = now - 12 * second;
	Verdict v = fresh(r, l);
	EXPECT_TRUE(v.stop);
	EXPECT_STREQ(v.reason, "replica lag is unknown: the last reading is 12 s old");
	Limits own;
	own.lock_waiters = 0;
	EXPECT_FALSE(fresh(r, own).stop);
	r.lock_waiters = 1;
	EXPECT_TRUE(fresh(r, own).stop);
	l.unknown_stops = false;
	r.lock_waiters = 0;
	EXPECT_FALSE(fresh(r, l).stop);
}

TEST(Throttle, BeforeTheFirstReadingNothingGoes)
{
	Limits l;
	l.replica_lag_us = second;
	EXPECT_STREQ(fresh(Readings{}, l).reason, "replica lag is unknown: nothing has been read yet");
}

TEST(Throttle, StaleInBetweenForgetsNotWhichReplicaStopped)
{
	State state;
	Limits l = all_limits();
	EXPECT_TRUE(judge(standby(11 * second), l, state, now).stop);
	Readings stale = standby(0);
	stale.sampled_at_us = now - 60 * second;
	EXPECT_TRUE(judge(stale, l, state, now).stop);
	EXPECT_TRUE(judge(standby(7 * second), l, state, now).stop);
}

TEST(Throttle, UnknownInBetweenForgetsNotWhichReplicaStopped)
{
	State state;
	Limits l = all_limits();
	for (int64_t lag : {11 * second, unknown, 7 * second})
		EXPECT_TRUE(judge(standby(lag), l, state, now).stop) << lag;
	EXPECT_FALSE(judge(standby(5 * second), l, state, now).stop);
}

TEST(Throttle, ASignalBesideAnotherKeepsItsOwnHalf)
{
	State state;
	Limits l = all_limits();
	Readings r = standby(11 * second);
	r.wal_bytes_per_second = 20 * MB;
	EXPECT_STREQ(judge(r, l, state, now).signal, "replica lag");
	r.replicas[0].lag_us = 0;
	r.wal_bytes_per_second = 10 * MB;
	EXPECT_STREQ(judge(r, l, state, now).signal, "WAL rate") << "it was over its limit as well";
	r.wal_bytes_per_second = 8 * MB;
	EXPECT_FALSE(judge(r, l, state, now).stop);
}

TEST(Throttle, TheStricterJobStopsEarlierOnTheSameReadings)
{
	Limits strict = all_limits();
	strict.replica_lag_us = 2 * second;
	EXPECT_TRUE(fresh(standby(3 * second), strict).stop);
	EXPECT_FALSE(fresh(standby(3 * second), all_limits()).stop);
}

TEST(Throttle, LongNamesAreCutNotOverrun)
{
	Readings r = calm();
	std::string name(200, 'x');
	add(r, name.c_str(), ReplicaKind::inactive_slot, unknown, int64_t{1} << 60);
	Verdict v = fresh(r, all_limits());
	EXPECT_TRUE(v.stop);
	EXPECT_LT(strlen(v.reason), sizeof(v.reason));
}

TEST(Throttle, ManyReplicasAreAllRemembered)
{
	Readings r = calm();
	for (int i = 0; i < max_replicas; i++)
		add(r, ("s" + std::to_string(i)).c_str(), ReplicaKind::standby, 11 * second, 0);
	State state;
	EXPECT_TRUE(judge(r, all_limits(), state, now).stop);
	for (int i = 0; i < max_replicas - 1; i++)
		r.replicas[i].lag_us = 0;
	r.replicas[max_replicas - 1].lag_us = 6 * second;
	EXPECT_TRUE(judge(r, all_limits(), state, now).stop);
}

TEST(Throttle, SignalsHaveNamesAndSettingsOfTheirOwn)
{
	std::set<std::string> names, settings;
	for (int i = 0; i < n_signals; i++) {
		names.insert(signals[i].name);
		settings.insert(signals[i].setting);
	}
	EXPECT_EQ(names.size(), static_cast<size_t>(n_signals));
	EXPECT_EQ(settings.size(), static_cast<size_t>(n_signals));
}

std::string described(const Readings &r, const Limits &l)
{
	char text[512];
	describe_readings(r, l, text, sizeof(text));
	return text;
}

TEST(ThrottleReadings, ThoseWithALimitAreShown)
{
	Limits l;
	EXPECT_EQ(described(calm(), l), "");
	l.replica_lag_us = 10 * second;
	l.slot_retained_bytes = 1024 * MB;
	l.wal_rate = 16 * MB;
	l.checkpoints = true;
	Readings r = standby(200'000);
	add(r, "s2", ReplicaKind::subscriber, 3 * second, 0);
	add(r, "ignored", ReplicaKind::standby, 300 * second, 0).ignored = true;
	r.wal_bytes_per_second = 3 * MB;
	EXPECT_EQ(described(r, l), "replica lag 3 s of 10 s (subscriber \"s2\"), inactive slot none, "
							   "limit 1 GB, WAL rate 3 MB/s of 16 MB/s, checkpoint go");
	EXPECT_EQ(worst_replica_lag_us(r), 3 * second);
}

TEST(ThrottleReadings, UnknownIsSaid)
{
	Limits l;
	l.replica_lag_us = 10 * second;
	l.wal_rate = 16 * MB;
	l.has_query = true;
	EXPECT_EQ(described(Readings{}, l),
			  "replica lag unknown, limit 10 s, WAL rate unknown, limit 16 MB/s, "
			  "throttle query unknown");
	Readings r = standby(2 * second);
	r.replicas[0].at_least = true;
	l = Limits{};
	l.replica_lag_us = 10 * second;
	EXPECT_EQ(described(r, l), "replica lag at least 2 s of 10 s (standby \"s1\")");
	EXPECT_EQ(worst_replica_lag_us(Readings{}), unknown);
}

TEST(ThrottleReadings, ATextTooShortIsCut)
{
	char text[20];
	describe_readings(standby(second), all_limits(), text, sizeof(text));
	EXPECT_EQ(strlen(text), sizeof(text) - 1);
}

} // namespace
} // namespace safe_migrate::jobs::throttle
