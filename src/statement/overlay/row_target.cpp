// See row_target.hpp.
#include <algorithm>

#include "statement/overlay/row_target.hpp"

#include "statement/folding.hpp"
#include "statement/relations.hpp"

extern "C" {
#include "catalog/pg_class.h"
#include "parser/parsetree.h"
#include "rewrite/prs2lock.h"
#include "rewrite/rewriteHandler.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/reltrigger.h"
}

namespace safe_migrate::statement::overlay {

namespace {

void look_at_rules(const RuleLock *rules, CmdType command, RowTarget *target)
{
	for (int i = 0; rules != nullptr && i < rules->numLocks; i++) {
		const RewriteRule *rule = rules->rules[i];
		if (rule->event != command)
			continue;
		target->is_rewritten = true;
		target->is_replaced |= rule->isInstead && rule->qual == nullptr;
	}
}

bool has_instead_trigger(const TriggerDesc *triggers, CmdType command)
{
	if (triggers == nullptr)
		return false;
	return (command != CMD_UPDATE && command != CMD_DELETE && triggers->trig_insert_instead_row) ||
		   (command != CMD_INSERT && command != CMD_DELETE && triggers->trig_update_instead_row) ||
		   (command != CMD_INSERT && command != CMD_UPDATE && triggers->trig_delete_instead_row);
}

Oid base_of(Relation view)
{
	Query *query = get_view_query(view);
	if (view_query_is_auto_updatable(query, false) != nullptr)
		return InvalidOid;
	auto *from = linitial_node(RangeTblRef, query->jointree->fromlist);
	return rt_fetch(from->rtindex, query->rtable)->relid;
}

} // namespace

RowTarget row_target(const Overlay *overlay, const Named &named, CmdType command)
{
	RowTarget target = {named.oid, NIL, false, false, named.is_new() ? named.script->rows_by : 0};
	Oid next = named.oid;
	while (OidIsValid(next) && !target.is_replaced) {
		target.relation = next;
		const ScriptRelation *record = find_record(overlay, next);
		if (record != nullptr)
			target.changed_by = std::max(target.changed_by, record->rows_by);
		Relation relation = open_judged(next);
		if (relation == nullptr)
			break;
		const bool is_view = relation->rd_rel->relkind == RELKIND_VIEW;
		if (is_view)
			target.views = lappend_oid(target.views, next);
		look_at_rules(relation->rd_rules, command, &target);
		if (is_view && has_instead_trigger(relation->trigdesc, command))
			target.is_rewritten = target.is_replaced = true;
		next = is_view && !target.is_replaced ? base_of(relation) : InvalidOid;
		close_judged(relation);
	}
	return target;
}

} // namespace safe_migrate::statement::overlay
