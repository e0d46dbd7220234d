// Effects and policy in, verdict out: a pure function.  gate.cpp carries it out, report.cpp tells
// it.
#pragma once
#include <cstdint>

#include "statement/effects.hpp"

namespace safe_migrate::guard {

enum class Level : uint8_t { allow, warn, reject };
constexpr int n_rules = static_cast<int>(statement::Cause::n_causes);

// When what a rule is about does harm at all.
enum class Harm : uint8_t {
	by_work, // done under a lock that stops somebody: a scan, a rewrite, a build
	by_lock, // the lock is the harm
	always,
};

// One per cause, in the order of statement::Cause (rules.cpp).
struct Rule {
	statement::Cause cause;
	const char *name; // kebab-case, stable: constraint name of the error, docs/rules/<name>.md
	Level level;	  // by default
	Harm harm;
	const char *problem; // one sentence, without a full stop
	const char *instead; // the safe function: SQL with {relation}, {column}, {object} … that
						 // instead.cpp fills in; nullptr where there is none
	const char *plain;	 // the way without it, by plain SQL; nullptr where there is none
};
const Rule &rule_of(statement::Cause cause);
const Rule *find_rule(const char *name);
const char *name_of(Level level);

// Levels that differ from the defaults, by cause: a Level, or unset.
struct RuleLevels {
	static constexpr int8_t unset = -1;
	int8_t level[n_rules];
};
constexpr RuleLevels no_levels()
{
	RuleLevels levels = {};
	for (int8_t &level : levels.level)
		level = RuleLevels::unset;
	return levels;
}

// "rename-column=reject, drop-table=warn" on top of what levels holds.  What is wrong with it, and
// where: *at, *length.
enum class BadLevels : uint8_t { no, syntax, rule, level };
BadLevels parse_levels(const char *text, RuleLevels *levels, const char **at, int *length);

// What holds for one relation: the settings, and what set_policy() says for it, a partitioned
// parent of it or its schema (the nearest wins).
struct Policy {
	Level levels[n_rules];
	int64_t small_table_bytes; // from a quarter of it on, effects that grow with size warn
	bool strict;			   // hot: nothing passes for being small
	bool exempt;
};

struct Verdict {
	Level level;
	const statement::Finding *finding; // that decided; nullptr where there is none
};

// The rules' own levels, changed by levels; then what a policy changes on top.
Policy default_policy(int64_t small_table_bytes, const RuleLevels &levels);
void apply_levels(Policy *policy, const RuleLevels &levels);

// One finding.  A statement's verdict is that of its gravest finding, the first of equals.
Level judge(const statement::Finding &finding, const Policy &policy);

} // namespace safe_migrate::guard
