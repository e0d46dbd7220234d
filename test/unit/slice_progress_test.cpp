// What slices add to a job's progress.
#include "operations/backfill/slice_progress.hpp"

#include <gtest/gtest.h>

using safe_migrate::operations::backfill::SliceProgress;

TEST(SliceProgress, BlocksAreToldOnce)
{
	SliceProgress progress(100);
	EXPECT_EQ(progress.advance(90), 0);
	EXPECT_EQ(progress.advance(130), 30);
	EXPECT_EQ(progress.advance(120), 0); // a batch that was rolled back is done again
	EXPECT_EQ(progress.advance(140), 10);
}

TEST(SliceProgress, ASliceThatManyWorkersTakeInTurnsCountsAsOne)
{
	int64_t sum = 0;
	for (int worker = 0; worker < 10; worker++) {
		SliceProgress progress(100); // the first page is still open: the cursor stands
		sum += progress.advance(150 + worker);
		sum += progress.give_up(100);
	}
	SliceProgress last(100);
	sum += last.advance(300);
	sum += last.give_up(300);
	EXPECT_EQ(sum, 200);
}
