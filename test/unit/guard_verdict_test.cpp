// Effects and policy in, verdict out.
#include "guard/verdict.hpp"

#include <gtest/gtest.h>

namespace safe_migrate::guard {

using statement::Cause;
using statement::Effect;
using statement::Exempt;
using statement::Finding;
using statement::Lock;

constexpr int64_t mb = 1024 * 1024;

Finding found(Cause cause, Effect effect, Lock lock, int64_t bytes)
{
	Finding finding = {};
	finding.cause = cause;
	finding.effect = effect;
	finding.lock = lock;
	finding.bytes = bytes;
	return finding;
}

Finding rewrite(int64_t bytes)
{
	return found(Cause::alter_type_rewrite, Effect::rewrite, Lock::access_exclusive, bytes);
}

Policy usual() { return default_policy(10 * mb, no_levels()); }

Policy with(Cause cause, Level level)
{
	RuleLevels levels = no_levels();
	levels.level[static_cast<int>(cause)] = static_cast<int8_t>(level);
	return default_policy(10 * mb, levels);
}

TEST(GuardVerdict, HarmThatGrowsIsJudgedBySize)
{
	EXPECT_EQ(judge(rewrite(0), usual()), Level::allow);
	EXPECT_EQ(judge(rewrite(10 * mb / 4 - 1), usual()), Level::allow);
	EXPECT_EQ(judge(rewrite(10 * mb / 4), usual()), Level::warn);
	EXPECT_EQ(judge(rewrite(10 * mb - 1), usual()), Level::warn);
	EXPECT_EQ(judge(rewrite(10 * mb), usual()), Level::reject);
}

TEST(GuardVerdict, AnUnknownSizeIsLarge) { EXPECT_EQ(judge(rewrite(-1), usual()), Level::reject); }

TEST(GuardVerdict, NothingIsSmallWhereTheLimitIsZero)
{
	EXPECT_EQ(judge(rewrite(8192), default_policy(0, no_levels())), Level::reject);
}

TEST(GuardVerdict, AWarningStaysOneBelowTheLimit)
{
	Policy policy = with(Cause::alter_type_rewrite, Level::warn);
	EXPECT_EQ(judge(rewrite(5 * mb), policy), Level::warn);
	EXPECT_EQ(judge(rewrite(50 * mb), policy), Level::warn);
	EXPECT_EQ(judge(rewrite(mb), policy), Level::allow);
}

TEST(GuardVerdict, AllowedRulesAllow)
{
	EXPECT_EQ(judge(rewrite(-1), with(Cause::alter_type_rewrite, Level::allow)), Level::allow);
}

TEST(GuardVerdict, OnAStrictTableNothingPassesForBeingSmall)
{
	Policy policy = usual();
	policy.strict = true;
	EXPECT_EQ(judge(rewrite(8192), policy), Level::reject);
}

TEST(GuardVerdict, OnAnExemptTableAllPasses)
{
	Policy policy = usual();
	policy.exempt = true;
	EXPECT_EQ(judge(rewrite(-1), policy), Level::allow);
	EXPECT_EQ(
		judge(found(Cause::drop_table, Effect::data_loss, Lock::access_exclusive, mb), policy),
		Level::allow);
}

TEST(GuardVerdict, WorkUnderAWeakLockHarmsNobody)
{
	Finding finding =
		found(Cause::validate_constraint, Effect::scan, Lock::share_update_exclusive, -1);
	EXPECT_EQ(judge(finding, usual()), Level::allow);
	finding.lock = Lock::share_row_exclusive;
	EXPECT_EQ(judge(finding, usual()), Level::reject);
}

TEST(GuardVerdict, ABriefStrongLockPasses)
{
	for (Cause cause : {Cause::lock, Cause::add_check, Cause::set_not_null, Cause::drop_index,
						Cause::detach_partition})
		EXPECT_EQ(judge(found(cause, Effect::metadata, Lock::access_exclusive, 100 * mb), usual()),
				  Level::allow);
}

TEST(GuardVerdict, ABriefStrongLockIsRejectedWhereTheRuleSaysSo)
{
	Finding finding = found(Cause::lock, Effect::metadata, Lock::access_exclusive, 100 * mb);
	EXPECT_EQ(judge(finding, with(Cause::lock, Level::reject)), Level::reject);
	finding.lock = Lock::share_update_exclusive;
	EXPECT_EQ(judge(finding, with(Cause::lock, Level::reject)), Level::allow);
}

TEST(GuardVerdict, LossIsNotAQuestionOfSize)
{
	Finding finding = found(Cause::drop_table, Effect::data_loss, Lock::access_exclusive, 8192);
	EXPECT_EQ(judge(finding, usual()), Level::reject);
	finding.exempt = Exempt::empty;
	EXPECT_EQ(judge(finding, usual()), Level::allow);
}

TEST(GuardVerdict, WhatCascadeTakesAlongAndIsNoDataIsAWarning)
{
	Finding finding = found(Cause::drop_cascade, Effect::client_break, Lock::none, 0);
	EXPECT_EQ(judge(finding, usual()), Level::warn);
	finding.effect = Effect::data_loss;
	EXPECT_EQ(judge(finding, usual()), Level::reject);
}

TEST(GuardVerdict, ClientsBreakByAnEmptyTableToo)
{
	Finding finding = found(Cause::rename_table, Effect::client_break, Lock::access_exclusive, 0);
	finding.exempt = Exempt::empty;
	EXPECT_EQ(judge(finding, usual()), Level::warn);
}

TEST(GuardVerdict, WhatNobodyElseHasSeenIsExempt)
{
	for (Exempt exempt : {Exempt::created_here, Exempt::temporary, Exempt::system}) {
		for (Finding finding :
			 {rewrite(-1),
			  found(Cause::rename_table, Effect::client_break, Lock::access_exclusive, 0),
			  found(Cause::drop_table, Effect::data_loss, Lock::access_exclusive, mb)}) {
			finding.exempt = exempt;
			EXPECT_EQ(judge(finding, usual()), Level::allow);
		}
	}
}

TEST(GuardVerdict, WritingAllRowsIsJudgedBySize)
{
	Finding finding =
		found(Cause::delete_without_where, Effect::data_loss, Lock::row_exclusive, mb);
	EXPECT_EQ(judge(finding, usual()), Level::allow);
	finding.bytes = 100 * mb;
	EXPECT_EQ(judge(finding, usual()), Level::reject);
}

TEST(GuardVerdict, ANotNullColumnFailsWhereThereIsARow)
{
	Finding finding =
		found(Cause::add_column_not_null, Effect::metadata, Lock::access_exclusive, 8192);
	EXPECT_EQ(judge(finding, usual()), Level::reject);
	finding.exempt = Exempt::empty;
	EXPECT_EQ(judge(finding, usual()), Level::allow);
}

} // namespace safe_migrate::guard
