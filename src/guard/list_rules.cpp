// rules(): the table of rules, with the levels of this session.
#include "guard/rule_settings.hpp"
#include "guard/verdict.hpp"
#include "pg/boundary.hpp"
#include "pg/result_row.hpp"
#include "settings.hpp"

SAFE_MIGRATE_FUNCTION(safe_migrate_rules)
{
	using namespace safe_migrate::guard;
	InitMaterializedSRF(fcinfo, 0);
	auto *result = reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo);
	Policy policy = default_policy(0, *session_levels());
	for (int i = 0; i < n_rules; i++) {
		const Rule &rule = rule_of(static_cast<safe_migrate::statement::Cause>(i));
		safe_migrate::pg::ResultRow<4> row = {};
		row.add_text(rule.name);
		row.add_text(name_of(policy.levels[i]));
		row.add_text(name_of(rule.level));
		row.add_text(rule.problem);
		row.put(result);
	}
	PG_RETURN_NULL();
}
