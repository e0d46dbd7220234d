// See exempt_moves.hpp.
#include "guard/exempt_moves.hpp"

#include "guard/policy.hpp"
#include "pg/compat_analysis.hpp"

extern "C" {
#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

namespace safe_migrate::guard {

namespace {

using statement::Cause;
using statement::Effect;
using statement::Finding;
using statement::Lock;

bool may_set_policy()
{
	Oid schema = get_namespace_oid("safe_migrate", true);
	CatCList *list = SearchSysCacheList1(PROCNAMEARGSNSP, CStringGetDatum("set_policy"));
	bool may = false;
	for (int i = 0; i < list->n_members && !may; i++) {
		auto *form = reinterpret_cast<Form_pg_proc>(GETSTRUCT(&list->members[i]->tuple));
		may = form->pronamespace == schema && pg::may_execute(form->oid, GetUserId());
	}
	ReleaseSysCacheList(list);
	return may;
}

bool has_rows_of_its_own(Oid relation)
{
	char kind = get_rel_relkind(relation);
	return kind == RELKIND_RELATION || kind == RELKIND_PARTITIONED_TABLE || kind == RELKIND_MATVIEW;
}

bool goes_elsewhere(const Finding &finding)
{
	return OidIsValid(finding.to_schema) || OidIsValid(finding.to_parent) || finding.leaves_parent;
}

const char *name_of_place(const Finding &finding)
{
	if (OidIsValid(finding.to_parent))
		return quote_qualified_identifier(get_namespace_name(get_rel_namespace(finding.to_parent)),
										  get_rel_name(finding.to_parent));
	return psprintf("schema %s",
					quote_identifier(get_namespace_name(
						OidIsValid(finding.to_schema) ? finding.to_schema
													  : get_rel_namespace(finding.relation))));
}

} // namespace

void add_exempt_moves(statement::Analysis *analysis)
{
	int n = analysis->effects->n;
	for (int i = 0; i < n; i++) {
		const Finding finding = analysis->effects->findings[i]; // the array grows
		if (!goes_elsewhere(finding) || !has_rows_of_its_own(finding.relation) ||
			!would_be_exempt(finding) || may_set_policy())
			continue;
		Finding *move = statement::add_finding(analysis, Cause::move_to_exempt, Effect::metadata,
											   finding.relation, Lock::none);
		move->is_target = finding.is_target;
		move->facts = psprintf("%s is exempt", name_of_place(finding));
	}
}

} // namespace safe_migrate::guard
