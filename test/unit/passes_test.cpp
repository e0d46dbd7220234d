// When a backfill is complete.
#include "operations/backfill/passes.hpp"

#include <gtest/gtest.h>

using namespace safe_migrate::operations::backfill;

namespace {

PassResult pass(int number, int64_t written)
{
	PassResult result{};
	result.pass = number;
	result.rows_written = written;
	result.rows_written_before = written * 10;
	result.locked_patience_ms = 1000;
	return result;
}

} // namespace

TEST(Passes, APassThatWroteIsFollowedByAnother)
{
	EXPECT_EQ(after_pass(pass(1, 1)), PassVerdict::again);
	EXPECT_EQ(after_pass(pass(2, 1)), PassVerdict::again);
}

TEST(Passes, APassThatFindsNothingEndsIt)
{
	EXPECT_EQ(after_pass(pass(1, 0)), PassVerdict::complete);
}

TEST(Passes, LockedRowsAreWaitedForUntilThePatienceEnds)
{
	PassResult result = pass(2, 0);
	result.rows_locked = 3;
	EXPECT_EQ(after_pass(result), PassVerdict::again_later);
	result.locked_for_ms = 1001;
	EXPECT_EQ(after_pass(result), PassVerdict::still_locked);
}

TEST(Passes, ProgressBeatsThePatience)
{
	PassResult result = pass(2, 5);
	result.rows_locked = 3;
	result.locked_for_ms = 5000;
	EXPECT_EQ(after_pass(result), PassVerdict::again);
}

TEST(Passes, RowsThatWouldMatchAgainFailTheJobAndDoNotLoop)
{
	PassResult result = pass(1, 0);
	result.rows_unmatched = 2;
	EXPECT_EQ(after_pass(result), PassVerdict::unmatched);
	result = pass(1, 0);
	result.rows_kept = 2;
	EXPECT_EQ(after_pass(result), PassVerdict::kept);
}

TEST(Passes, RowsThatKeepComingDoNotKeepTheJobAlive)
{
	int number = 1;
	PassVerdict verdict = PassVerdict::again;
	while (verdict == PassVerdict::again && number < 1000) {
		PassResult result = pass(number++, 10);
		result.rows_written_before = 10;
		verdict = after_pass(result);
	}
	EXPECT_EQ(verdict, PassVerdict::keeps_coming);
}

TEST(Passes, ARowThatWasMissedIsFollowedByAnotherPassButNotForEver)
{
	PassResult result = pass(3, 0);
	EXPECT_EQ(after_pass(result), PassVerdict::complete);
	result.rows_missed = 1;
	EXPECT_EQ(after_pass(result), PassVerdict::again);
	result.pass = 20;
	EXPECT_EQ(after_pass(result), PassVerdict::again);
	result.rows_written_before = 1;
	EXPECT_EQ(after_pass(result), PassVerdict::keeps_coming);
}

TEST(Passes, RowsThatWereLockedForManyPassesAreLookedAtOnceMoreWhenTheyAreWritten)
{
	PassResult result = pass(20, 5);
	result.rows_written_before = 0;
	EXPECT_EQ(after_pass(result), PassVerdict::again);
}

TEST(Passes, RowsThatWouldMatchAgainAreNotForgottenWhereOthersKeepComing)
{
	PassResult result = pass(20, 10);
	result.rows_written_before = 10;
	result.rows_unmatched = 1;
	EXPECT_EQ(after_pass(result), PassVerdict::unmatched);
	result.rows_unmatched = 0;
	result.rows_kept = 1;
	EXPECT_EQ(after_pass(result), PassVerdict::kept);
}

TEST(Passes, RowsThatWereThereBeforeAreWrittenHoweverManyPassesItTakes)
{
	PassResult result = pass(100, 1);
	result.rows_written_before = 1;
	result.rows_old = 1;
	EXPECT_EQ(after_pass(result), PassVerdict::keeps_coming);
	result.reads_itself = true;
	EXPECT_EQ(after_pass(result), PassVerdict::again);
	result.rows_old = 0;
	EXPECT_EQ(after_pass(result), PassVerdict::keeps_coming);
}

TEST(Passes, RowsThatTheJobWritesForTheThirdTimeBecomeFewerByHalfOrFailIt)
{
	PassResult result = pass(3, 10);
	result.reads_itself = true;
	result.rows_old = 1;
	result.rows_again = 10;
	EXPECT_EQ(after_pass(result), PassVerdict::again);
	result.rows_again_before = 10;
	EXPECT_EQ(after_pass(result), PassVerdict::again); // others than those of the pass before
	result.rows_thrice = 1;
	EXPECT_EQ(after_pass(result), PassVerdict::circling);
	result.rows_again_before = 20;
	EXPECT_EQ(after_pass(result), PassVerdict::again);
	result.rows_again_before = 19;
	result.rows_locked = 1;
	EXPECT_EQ(after_pass(result), PassVerdict::circling);
}
