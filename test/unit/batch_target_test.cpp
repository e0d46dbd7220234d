// How long batches are to take.
#include "operations/backfill/batch_target.hpp"

#include <gtest/gtest.h>

using safe_migrate::operations::backfill::BatchTarget;

namespace {

constexpr int64_t aim = 30'000;

} // namespace

TEST(BatchTarget, GrowsByHalfAtMostUpToTheAim)
{
	BatchTarget target(aim);
	EXPECT_LE(target.us(), aim);
	for (int i = 0; i < 20; i++) {
		int64_t before = target.us();
		target.grow(aim);
		EXPECT_LE(target.us(), before + before / 2);
		EXPECT_LE(target.us(), aim);
	}
	EXPECT_EQ(target.us(), aim);
}

TEST(BatchTarget, HalvesAtOnceButStaysLongEnoughToGetAnywhere)
{
	BatchTarget target(aim);
	target.grow(aim);
	int64_t before = target.us();
	target.shrink();
	EXPECT_EQ(target.us(), before / 2);
	for (int i = 0; i < 20; i++)
		target.shrink();
	EXPECT_EQ(target.us(), 2'000);
}

TEST(BatchTarget, AShorterAimCountsForTheNextBatch)
{
	BatchTarget target(aim);
	target.grow(aim / 10);
	EXPECT_EQ(target.us(), aim / 10);
}

TEST(BatchTarget, ATroubledBatchIsNeverMadeLonger)
{
	BatchTarget target(1'000);
	int64_t before = target.us();
	target.shrink();
	EXPECT_LE(target.us(), before);
}
