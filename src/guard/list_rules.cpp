// rules(): the table of rules, with the levels of this session.
#include "guard/rule_settings.hpp"
#include "guard/verdict.hpp"
#include "pg/boundary.hpp"
#include "settings.hpp"

extern "C" {
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"
}

SAFE_MIGRATE_FUNCTION(safe_migrate_rules)
{
	using namespace safe_migrate::guard;
	InitMaterializedSRF(fcinfo, 0);
	auto *result = reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo);
	Policy policy = default_policy(0, *session_levels());
	for (int i = 0; i < n_rules; i++) {
		const Rule &rule = rule_of(static_cast<safe_migrate::statement::Cause>(i));
		Datum values[] = {
			CStringGetTextDatum(rule.name), CStringGetTextDatum(name_of(policy.levels[i])),
			CStringGetTextDatum(name_of(rule.level)), CStringGetTextDatum(rule.problem)};
		bool nulls[lengthof(values)] = {};
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	PG_RETURN_NULL();
}
