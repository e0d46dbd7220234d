// Progress in numbers and words.
#include "jobs/progress_meter.hpp"

#include <gtest/gtest.h>
#include <string>
#include <vector>

using namespace safe_migrate::jobs;

namespace {

Meter running()
{
	return {JobState::running,
			Condition::none,
			"backfill",
			"",
			1,
			2,
			1,
			1'234'567,
			250,
			1000,
			2000.0,
			10.0,
			-1};
}

std::string line(const Meter &meter)
{
	char text[progress_line_length];
	write_progress_line(text, meter);
	return text;
}

} // namespace

TEST(ProgressMeter, FractionAndTimeLeft)
{
	EXPECT_DOUBLE_EQ(fraction_of(running()), 0.25);
	EXPECT_DOUBLE_EQ(eta_of(running()), 75.0);
}

TEST(ProgressMeter, UnknownIsNegative)
{
	Meter meter = running();
	meter.units_total = 0;
	EXPECT_LT(fraction_of(meter), 0);
	meter = running();
	meter.units_per_second = 0;
	EXPECT_LT(eta_of(meter), 0);
	meter.units_per_second = 1e-40; // hours after the last batch
	EXPECT_LT(eta_of(meter), 0);
}

namespace {

constexpr int64_t second = 1'000'000;
constexpr int64_t begin = 7 * second;

} // namespace

TEST(Rates, TheFirstMeasureCountsInFull)
{
	Rates rates = {};
	measure_rates(&rates, begin, 5000, 40); // what an earlier worker has done
	EXPECT_EQ(rates.rows, 0);
	measure_rates(&rates, begin + 2 * second, 7000, 60);
	EXPECT_DOUBLE_EQ(rates.rows, 1000);
	EXPECT_DOUBLE_EQ(rates.units, 10);
}

TEST(Rates, AreSmoothed)
{
	Rates rates = {};
	measure_rates(&rates, begin, 0, 0);
	measure_rates(&rates, begin + second, 1000, 10);
	measure_rates(&rates, begin + 2 * second, 3000, 30);
	EXPECT_DOUBLE_EQ(rates.rows, 1300);
	EXPECT_DOUBLE_EQ(rates.units, 13);
	for (int i = 0; i < 100; i++)
		measure_rates(&rates, begin + (3 + i) * second, 5000 + 2000 * i, 50 + 20 * i);
	EXPECT_NEAR(rates.rows, 2000, 1);
}

TEST(Rates, AreMeasuredOnceASecond)
{
	Rates rates = {};
	measure_rates(&rates, begin, 0, 0);
	for (int i = 1; i < 100; i++)
		measure_rates(&rates, begin + i * second / 100, 10 * i, i);
	EXPECT_EQ(rates.rows, 0);
	measure_rates(&rates, begin + second, 1000, 100);
	EXPECT_DOUBLE_EQ(rates.rows, 1000);
}

TEST(Rates, LeaveOutWhatStoodStill)
{
	Rates rates = {};
	measure_rates(&rates, begin, 0, 0);
	measure_rates(&rates, begin + second, 1000, 10);
	skip_pause(&rates);
	measure_rates(&rates, begin + 100 * second, 1000, 10);
	measure_rates(&rates, begin + 101 * second, 2000, 20);
	EXPECT_DOUBLE_EQ(rates.rows, 1000);
	EXPECT_DOUBLE_EQ(rates.units, 10);
}

TEST(Rates, OfAnotherPassAreItsOwn)
{
	Rates rates = {};
	measure_rates(&rates, begin, 0, 0);
	measure_rates(&rates, begin + second, 1000, 10);
	forget_rates(&rates);
	EXPECT_EQ(rates.units, 0); // no time left is told yet
	EXPECT_DOUBLE_EQ(rates.rows, 1000);
	measure_rates(&rates, begin + 2 * second, 1000, 0);
	measure_rates(&rates, begin + 3 * second, 1200, 100);
	EXPECT_DOUBLE_EQ(rates.rows, 200);
	EXPECT_DOUBLE_EQ(rates.units, 100);
}

// A page with many rows takes longer than a second: its rows are there before it is.
TEST(Rates, AreSmoothedWhereNoUnitIsDone)
{
	Rates rates = {};
	measure_rates(&rates, begin, 0, 0);
	measure_rates(&rates, begin + second, 1000, 0);
	measure_rates(&rates, begin + 2 * second, 3000, 0);
	EXPECT_DOUBLE_EQ(rates.rows, 1300);
}

TEST(Rates, BeginAnewWhereTheClockIsSetBack)
{
	Rates rates = {};
	measure_rates(&rates, begin + 3600 * second, 0, 0);
	measure_rates(&rates, begin, 1000, 10);
	measure_rates(&rates, begin + second, 2000, 20);
	EXPECT_DOUBLE_EQ(rates.rows, 1000);
	EXPECT_DOUBLE_EQ(rates.units, 10);
}

TEST(ProgressMeter, NeverMoreThanAll)
{
	Meter meter = running();
	meter.units_done = 5000;
	EXPECT_DOUBLE_EQ(fraction_of(meter), 1.0);
	EXPECT_DOUBLE_EQ(eta_of(meter), 0.0);
}

TEST(ProgressMeter, ALineThatAPersonReads)
{
	EXPECT_EQ(
		line(running()),
		"step 1 of 2 (backfill): 25.0 %, 1,234,567 rows, 2,000 rows/s, about 1 min 15 s left");
}

TEST(ProgressMeter, SaysWhyItWaits)
{
	Meter meter = running();
	meter.condition = Condition::throttled;
	meter.detail = "standby \"s1\" is 12.3 s behind, limit 10 s";
	EXPECT_NE(line(meter).find("throttled: standby \"s1\""), std::string::npos);
	EXPECT_EQ(line(meter).find("left"), std::string::npos);
}

TEST(ProgressMeter, LongDetailsAreCut)
{
	Meter meter = running();
	std::string detail(2000, 'x');
	meter.condition = Condition::locked;
	meter.detail = detail.c_str();
	EXPECT_LT(line(meter).size(), progress_line_length);
}

TEST(ProgressMeter, GroupsOfDigits)
{
	char text[32];
	write_grouped(text, sizeof text, 1234567);
	EXPECT_STREQ(text, "1,234,567");
	write_grouped(text, sizeof text, 0);
	EXPECT_STREQ(text, "0");
	write_grouped(text, sizeof text, 123);
	EXPECT_STREQ(text, "123");
}

namespace {

// Seconds after which lines are printed, asked as often as wait() may wake up.
std::vector<double> lines_of(int seconds, bool news)
{
	constexpr int64_t begin = 7'000'000, step = 10'000;
	std::vector<double> lines;
	Pace pace = begin_pace(begin);
	for (int64_t now = begin; now <= begin + seconds * INT64_C(1'000'000); now += step)
		if (is_time_for_line(&pace, now, news))
			lines.push_back(static_cast<double>(now - begin) / 1e6);
	return lines;
}

} // namespace

TEST(Pace, IsCalm)
{
	EXPECT_EQ(lines_of(20, false), (std::vector<double>{1, 3, 5, 7, 9, 14, 19}));
	EXPECT_EQ(lines_of(3600, false).size(), 5u + (3600 - 9) / 5);
}

TEST(Pace, NewsComesEarlierAndStaysCalm)
{
	EXPECT_EQ(lines_of(10, true), (std::vector<double>{1, 1.5, 2, 2.5, 3, 6.5, 10}));
	EXPECT_EQ(lines_of(3600, true).size(), 5u + static_cast<size_t>((3600 - 3) / 3.5));
}
