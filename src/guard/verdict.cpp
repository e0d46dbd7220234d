// How grave an effect is: see verdict.hpp.
#include "guard/verdict.hpp"

#include <algorithm>

#include "pg/pure.hpp"

namespace safe_migrate::guard {

namespace {

using statement::Cause;
using statement::Effect;
using statement::Exempt;
using statement::Finding;

// Deleting or writing all rows is the more harm the more there are, whatever it is called.
bool harm_grows(const Finding &finding)
{
	return statement::grows_with_size(finding.effect) ||
		   finding.cause == Cause::update_without_where ||
		   finding.cause == Cause::delete_without_where;
}

// Work under a weak lock, or what was found to be no work, harms nobody.
bool is_harmful(const Finding &finding, Harm harm)
{
	switch (harm) {
		case Harm::by_work:
			return statement::is_strong(finding.lock) && finding.effect != Effect::metadata;
		case Harm::by_lock:
			return statement::is_strong(finding.lock);
		case Harm::always:
			return true;
	}
	return true;
}

// A table without a block has nothing to lose and nothing to scan, but its name is known.
bool is_exempt(const Finding &finding, Harm harm)
{
	if (finding.exempt == Exempt::empty)
		return finding.effect != Effect::client_break && harm != Harm::by_lock;
	return finding.exempt != Exempt::no;
}

Level by_size(int64_t bytes, int64_t small, Level level)
{
	if (bytes < 0 || bytes >= small)
		return level;
	return bytes < small / 4 ? Level::allow : std::min(level, Level::warn);
}

} // namespace

Level judge(const Finding &finding, const Policy &policy)
{
	const Rule &rule = rule_of(finding.cause);
	if (policy.exempt || is_exempt(finding, rule.harm) || !is_harmful(finding, rule.harm))
		return Level::allow;
	Level level = policy.levels[static_cast<int>(finding.cause)];
	if (finding.effect == Effect::client_break && rule.level == Level::reject)
		level = std::min(level, Level::warn); // the rule is about a loss, and this is none
	if (harm_grows(finding) && !policy.strict)
		return by_size(finding.bytes, policy.small_table_bytes, level);
	return level;
}

Policy default_policy(int64_t small_table_bytes, const RuleLevels &levels)
{
	Policy policy = {};
	policy.small_table_bytes = small_table_bytes;
	for (int i = 0; i < n_rules; i++)
		policy.levels[i] = rule_of(static_cast<Cause>(i)).level;
	apply_levels(&policy, levels);
	return policy;
}

void apply_levels(Policy *policy, const RuleLevels &levels)
{
	for (int i = 0; i < n_rules; i++)
		if (levels.level[i] != RuleLevels::unset)
			policy->levels[i] = static_cast<Level>(levels.level[i]);
}

} // namespace safe_migrate::guard
