// Lag in time from positions: what the marks remember, and for how long.
#include "jobs/throttle/wal_marks.hpp"

#include <gtest/gtest.h>

#include "pg/pure.hpp"

namespace safe_migrate::jobs::throttle {
namespace {

constexpr int64_t second = 1'000'000;

TEST(WalMarks, CaughtUpIsZeroHoweverLongAgoTheLastWrite)
{
	WalMarks marks;
	add_mark(marks, 1000, second);
	EXPECT_EQ(lag_of(marks, 1000, 3600 * second).us, 0);
	EXPECT_FALSE(lag_of(marks, 1000, 3600 * second).at_least);
	EXPECT_EQ(lag_of(marks, 2000, 3600 * second).us, 0) << "ahead of what was sampled";
}

TEST(WalMarks, LagCountsFromTheFirstWalThatIsMissing)
{
	WalMarks marks;
	add_mark(marks, 1000, 1 * second);
	add_mark(marks, 2000, 101 * second); // idle for 100 s in between
	add_mark(marks, 3000, 102 * second);
	EXPECT_EQ(lag_of(marks, 1000, 103 * second).us, 2 * second);
	EXPECT_EQ(lag_of(marks, 1999, 103 * second).us, 2 * second);
	EXPECT_EQ(lag_of(marks, 2000, 103 * second).us, 1 * second);
	EXPECT_FALSE(lag_of(marks, 1000, 103 * second).at_least);
}

TEST(WalMarks, LagGrowsWhileNobodyWrites)
{
	WalMarks marks;
	add_mark(marks, 1000, 0);
	add_mark(marks, 2000, second);
	add_mark(marks, 2000, 50 * second); // no new WAL: not a new mark
	EXPECT_EQ(lag_of(marks, 1500, 61 * second).us, 60 * second);
}

TEST(WalMarks, BehindTheFirstMarkIsALowerBound)
{
	WalMarks marks;
	add_mark(marks, 1000, 5 * second);
	add_mark(marks, 2000, 6 * second);
	Lag lag = lag_of(marks, 500, 8 * second);
	EXPECT_TRUE(lag.at_least);
	EXPECT_EQ(lag.us, 3 * second);
}

TEST(WalMarks, NothingRememberedIsZero) { EXPECT_EQ(lag_of(WalMarks{}, 500, second).us, 0); }

TEST(WalMarks, FullRingReachesBackToTheFirstAndIsExactOnTheRecent)
{
	WalMarks marks;
	constexpr int n = 20'000;
	for (int i = 1; i <= n; i++)
		add_mark(marks, static_cast<uint64_t>(i) * 10, i * second);
	EXPECT_LE(marks.n, WalMarks::size);
	EXPECT_EQ(marks.marks[0].lsn, 10u);
	for (int back = 0; back < 200; back++)
		EXPECT_EQ(lag_of(marks, static_cast<uint64_t>(n - back) * 10, n * second).us,
				  back == 0 ? 0 : (back - 1) * second);
	for (int i = 1; i < marks.n; i++)
		EXPECT_LT(marks.marks[i - 1].lsn, marks.marks[i].lsn);
	// long ago: never more than it was, and not less than half
	for (int64_t back : {1000, 5'000, 15'000}) {
		int64_t lag = lag_of(marks, static_cast<uint64_t>(n - back) * 10, n * second).us;
		EXPECT_LE(lag, back * second);
		EXPECT_GE(lag, back * second / 2);
	}
}

} // namespace
} // namespace safe_migrate::jobs::throttle
