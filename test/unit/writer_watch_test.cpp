// Whether anybody but the workers writes.
#include "jobs/writer_watch.hpp"

#include <gtest/gtest.h>

using namespace safe_migrate::jobs;

namespace {

constexpr int64_t second = 1'000'000;
constexpr int workers = 2;

TEST(WriterWatch, ExpectsNobodyUntilItKnows)
{
	WriterWatch watch;
	EXPECT_FALSE(watch.others_write(10 * second, 1000, 0, workers));
	EXPECT_FALSE(watch.others_write(10 * second + 99'000, 1100, 0, workers));
}

TEST(WriterWatch, SeesOthersInItsFirstMoment)
{
	WriterWatch watch;
	(void)watch.others_write(10 * second, 1000, 50, workers);
	EXPECT_TRUE(watch.others_write(10 * second + 100'000, 1014, 60, workers));
}

TEST(WriterWatch, OwnTransactionsAreNotOthers)
{
	WriterWatch watch;
	(void)watch.others_write(10 * second, 1000, 50, workers);
	EXPECT_FALSE(watch.others_write(11 * second, 1066, 116, workers));
	// one of each worker is counted late, and there is a little bookkeeping
	EXPECT_FALSE(watch.others_write(12 * second, 1066 + 66 + 4, 116 + 64, workers));
}

TEST(WriterWatch, SeesOthersAndThatTheyAreGone)
{
	WriterWatch watch;
	(void)watch.others_write(10 * second, 1000, 50, workers);
	EXPECT_FALSE(watch.others_write(11 * second, 1000, 50, workers));
	EXPECT_TRUE(watch.others_write(12 * second, 1100, 80, workers));
	EXPECT_TRUE(watch.others_write(12 * second + 100'000, 1100, 80, workers)); // asked too early
	EXPECT_FALSE(watch.others_write(13 * second, 1130, 110, workers));
}

TEST(WriterWatch, FewInALongTimeAreNobody)
{
	WriterWatch watch;
	(void)watch.others_write(10 * second, 1000, 50, workers);
	EXPECT_FALSE(watch.others_write(70 * second, 1060, 50, workers)); // one a second
}

} // namespace
