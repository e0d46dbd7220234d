// Effects and policy in, verdict out: a pure function.  How it is carried out is in hook.cpp, what
// is said in message.cpp.
#pragma once
#include <cstdint>

#include "statement/effects.hpp"

namespace safe_migrate::guard {

enum class Level : uint8_t { allow, warn, reject };
constexpr int n_rules = static_cast<int>(statement::Cause::n_causes);

// One per cause, in the order of statement::Cause (rules.cpp).
struct Rule {
	statement::Cause cause;
	const char *name;	 // kebab-case, stable: constraint name of the error, docs/rules/<name>.md
	Level level;		 // by default
	bool strong_only;	 // harmless unless it is done under a lock that stops somebody
	const char *problem; // one sentence, without a full stop
	const char *instead; // SQL with {relation}, {column}, {object}, {definition}, {statement} and
						 // the same with _literal, filled in by message.cpp; nullptr = {statement}
						 // has no better form
};
const Rule &rule_of(statement::Cause cause);
const Rule *find_rule(const char *name);

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

// One finding; then all of a statement: the gravest one, the first of equals.
Level judge(const statement::Finding &finding, const Policy &policy);

} // namespace safe_migrate::guard
