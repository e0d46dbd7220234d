// From the cost of a sample to that of a job.
#include "operations/backfill/estimate_model.hpp"

#include <gtest/gtest.h>

using namespace safe_migrate::operations::backfill;

namespace {

// A hundredth of a table: 10 blocks of 1000, 50 rows a block.
constexpr SampleCost sample = {10, 500, 0, 1000, 10000, 250000};

TableFacts table_with(int indexes)
{
	TableFacts table = {};
	table.blocks = 1000;
	table.bytes_per_row = 160;
	table.indexes = indexes;
	table.heap_only_possible = true;
	return table;
}

} // namespace

TEST(EstimateModel, RowsGrowWithTheTable)
{
	EXPECT_DOUBLE_EQ(extrapolate(sample, table_with(4)).rows, 50000);
}

TEST(EstimateModel, AnEmptySampleGivesNothing)
{
	const Estimate estimate = extrapolate({}, table_with(4));
	EXPECT_EQ(estimate.rows, 0);
	EXPECT_EQ(estimate.duration_us, 0);
	EXPECT_EQ(estimate.growth_bytes, 0);
}

TEST(EstimateModel, RowsThatOthersHoldCostWhatTheOthersDo)
{
	SampleCost half_held = {10, 250, 250, 1000, 5000, 125000};
	const Estimate all = extrapolate(sample, table_with(4));
	const Estimate half = extrapolate(half_held, table_with(4));
	EXPECT_DOUBLE_EQ(half.rows, all.rows);
	EXPECT_DOUBLE_EQ(half.duration_us, all.duration_us);
	EXPECT_DOUBLE_EQ(half.wal_bytes, all.wal_bytes);
	EXPECT_DOUBLE_EQ(half.growth_bytes, all.growth_bytes);
}

TEST(EstimateModel, ASampleThatOthersHoldTellsNothing)
{
	EXPECT_FALSE(is_known({}));
	EXPECT_FALSE(is_known({10, 0, 500, 1000, 0, 0}));
	EXPECT_TRUE(is_known({10, 0, 0, 1000, 0, 0})); // there is nothing to do
	EXPECT_TRUE(is_known({10, 1, 499, 1000, 20, 500}));
}

TEST(EstimateModel, WithAnIndexOnTheTargetItCostsWhatAPlainUpdateDoes)
{
	TableFacts table = table_with(4);
	table.heap_only_possible = false;
	const Estimate estimate = extrapolate(sample, table);
	EXPECT_DOUBLE_EQ(estimate.duration_us, 100 * (1000 + 10000));
	EXPECT_DOUBLE_EQ(estimate.wal_bytes, 100 * 250000);
	EXPECT_DOUBLE_EQ(estimate.growth_bytes, 50000 * 160);
}

TEST(EstimateModel, HeapOnlyUpdatesSaveMoreTheMoreIndexesThereAre)
{
	double last = extrapolate(sample, table_with(0)).duration_us;
	for (int indexes = 1; indexes < 10; indexes++) {
		const double now = extrapolate(sample, table_with(indexes)).duration_us;
		EXPECT_LE(now, last);
		last = now;
	}
	EXPECT_LE(extrapolate(sample, table_with(0)).duration_us, 100 * (1000 + 10000));
}

// What was measured on 3 million rows with four indexes: 0.36 of the time, 0.49 of the WAL.
TEST(EstimateModel, FourIndexesAsMeasured)
{
	EXPECT_NEAR(against_plain_update(time_per_index, time_of_rounds, table_with(4)), 0.36, 0.05);
	EXPECT_NEAR(against_plain_update(wal_per_index, wal_of_rounds, table_with(4)), 0.49, 0.05);
}

TEST(EstimateModel, APurgeDoesNotGrow)
{
	TableFacts table = table_with(2);
	table.erases = true;
	table.heap_only_possible = false;
	EXPECT_EQ(extrapolate(sample, table).growth_bytes, 0);
}
