// See statement_locks.hpp.
#include "operations/ddl/statement_locks.hpp"

#include "statement/analysis.hpp"

extern "C" {
#include "parser/parser.h"
}

namespace safe_migrate::operations::ddl {

using statement::Finding;
using statement::Lock;

namespace {

void add_finding_lock(RecipeStep *step, const Finding &finding)
{
	if (!OidIsValid(finding.relation) || finding.lock == Lock::none)
		return;
	for (int i = 0; i < step->n_locks; i++)
		if (step->locks[i].relation == finding.relation) {
			step->locks[i].mode = Max(step->locks[i].mode, finding.lock);
			return;
		}
	add_lock(step, finding.relation, finding.lock);
}

} // namespace

void add_statement_locks(RecipeStep *step, const char *sql)
{
	statement::Effects effects = {};
	statement::Analysis analysis = {};
	analysis.source = sql;
	analysis.effects = &effects;
	const auto *raw = linitial_node(RawStmt, raw_parser(sql, RAW_PARSE_DEFAULT));
	statement::analyse_utility(&analysis, raw->stmt, -1, 0);
	for (int i = 0; i < effects.n; i++)
		add_finding_lock(step, effects.findings[i]);
}

} // namespace safe_migrate::operations::ddl
