// The table of rules, and the lists of levels that change it.
#include <string>

#include "guard/verdict.hpp"

#include <gtest/gtest.h>

namespace safe_migrate::guard {

using statement::Cause;

TEST(GuardRules, EachIsFoundByItsName)
{
	for (int i = 0; i < n_rules; i++) {
		const Rule &rule = rule_of(static_cast<Cause>(i));
		EXPECT_EQ(find_rule(rule.name), &rule);
		EXPECT_NE(rule.problem, nullptr);
		EXPECT_NE(std::string(rule.problem).back(), '.');
	}
	EXPECT_EQ(find_rule("no-such-rule"), nullptr);
	EXPECT_EQ(find_rule(""), nullptr);
}

TEST(GuardRules, PlaceholdersAreWellFormed)
{
	for (int i = 0; i < n_rules; i++) {
		const Rule &rule = rule_of(static_cast<Cause>(i));
		for (const char *text : {rule.instead, rule.plain}) {
			int depth = 0;
			for (const char *p = text ? text : ""; *p; p++) {
				depth += *p == '{' ? 1 : *p == '}' ? -1 : 0;
				EXPECT_GE(depth, 0) << rule.name;
				EXPECT_LE(depth, 1) << rule.name;
			}
			EXPECT_EQ(depth, 0) << rule.name;
		}
	}
}

TEST(GuardRules, UnboundedBlockingAndLossReject)
{
	for (Cause cause : {Cause::add_column_volatile_default, Cause::alter_type_rewrite,
						Cause::set_not_null, Cause::create_index, Cause::vacuum_full,
						Cause::drop_table, Cause::drop_column, Cause::truncate})
		EXPECT_EQ(rule_of(cause).level, Level::reject);
	for (Cause cause : {Cause::rename_table, Cause::rename_column, Cause::drop_other})
		EXPECT_EQ(rule_of(cause).level, Level::warn);
	EXPECT_EQ(rule_of(Cause::lock).level, Level::allow);
}

BadLevels parse(const char *text, RuleLevels *levels, std::string *wrong = nullptr)
{
	const char *at = nullptr;
	int length = 0;
	*levels = no_levels();
	BadLevels bad = parse_levels(text, levels, &at, &length);
	if (wrong && bad != BadLevels::no)
		*wrong = std::string(at, length);
	return bad;
}

TEST(RuleLevelsText, ChangesTheNamedRulesOnly)
{
	RuleLevels levels;
	ASSERT_EQ(parse(" rename-column = reject,\n drop-table=allow", &levels), BadLevels::no);
	for (int i = 0; i < n_rules; i++) {
		Cause cause = static_cast<Cause>(i);
		int expected = cause == Cause::rename_column ? static_cast<int>(Level::reject)
					   : cause == Cause::drop_table	 ? static_cast<int>(Level::allow)
													 : RuleLevels::unset;
		EXPECT_EQ(levels.level[i], expected) << i;
	}
}

TEST(RuleLevelsText, EmptyIsFine)
{
	RuleLevels levels;
	EXPECT_EQ(parse("", &levels), BadLevels::no);
	EXPECT_EQ(parse("  ", &levels), BadLevels::no);
}

TEST(RuleLevelsText, TheLastOfSeveralCounts)
{
	RuleLevels levels;
	ASSERT_EQ(parse("truncate=allow, truncate=warn", &levels), BadLevels::no);
	EXPECT_EQ(levels.level[static_cast<int>(Cause::truncate)], static_cast<int>(Level::warn));
}

TEST(RuleLevelsText, SaysWhatIsWrong)
{
	RuleLevels levels;
	std::string wrong;
	EXPECT_EQ(parse("truncate=allow, no-such=warn", &levels, &wrong), BadLevels::rule);
	EXPECT_EQ(wrong, "no-such");
	EXPECT_EQ(parse("truncate=maybe", &levels, &wrong), BadLevels::level);
	EXPECT_EQ(wrong, "maybe");
	EXPECT_EQ(parse("truncate=", &levels), BadLevels::level);
	EXPECT_EQ(parse("truncate", &levels), BadLevels::syntax);
	EXPECT_EQ(parse("truncate=warn,", &levels), BadLevels::syntax);
	EXPECT_EQ(parse(",truncate=warn", &levels), BadLevels::syntax);
	EXPECT_EQ(parse("TRUNCATE=warn", &levels), BadLevels::rule);
}

} // namespace safe_migrate::guard
