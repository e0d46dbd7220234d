#include "jobs/job.hpp"

#include <gtest/gtest.h>
#include <set>
#include <string>

namespace safe_migrate::jobs {
namespace {

TEST(JobState, FinalStatesAreThoseThatNothingFollows)
{
	EXPECT_FALSE(is_final(JobState::queued));
	EXPECT_FALSE(is_final(JobState::running));
	EXPECT_FALSE(is_final(JobState::paused));
	EXPECT_TRUE(is_final(JobState::succeeded));
	EXPECT_TRUE(is_final(JobState::failed));
	EXPECT_TRUE(is_final(JobState::cancelled));
}

TEST(JobState, EveryStateHasItsOwnName)
{
	const std::set<std::string> names(std::begin(job_state_names), std::end(job_state_names));
	EXPECT_EQ(names.size(), std::size(job_state_names));
	EXPECT_STREQ(name_of(JobState::cancelled), "cancelled");
}

TEST(Condition, EveryConditionHasItsOwnName)
{
	const std::set<std::string> names(std::begin(condition_names), std::end(condition_names));
	EXPECT_EQ(names.size(), static_cast<size_t>(Condition::foreign) + 1);
}

} // namespace
} // namespace safe_migrate::jobs
