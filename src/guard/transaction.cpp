// See transaction.hpp.  What subtransactions did goes with them when they roll back, as in
// AtEOSubXact_Namespace() and its like.
#include "guard/transaction.hpp"

#include "guard/gate.hpp"
#include "guard/held_locks.hpp"
#include "guard/override.hpp"
#include "guard/policy.hpp"
#include "guard/renames.hpp"
#include "guard/report.hpp"
#include "pg/compat_analysis.hpp"
#include "statement/dml.hpp"
#include "settings.hpp"

extern "C" {
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/pg_class.h"
#include "nodes/plannodes.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
}

namespace safe_migrate::guard {

namespace {

using statement::Analysis;
using statement::Cause;
using statement::Effect;
using statement::Effects;
using statement::Exempt;
using statement::Finding;
using statement::Lock;
using statement::many_rows;

bool rows_were_told = false; // once a transaction

Oid table_of(Oid relation)
{
	char kind = get_rel_relkind(relation);
	return kind == RELKIND_INDEX || kind == RELKIND_PARTITIONED_INDEX
			   ? IndexGetRelation(relation, true)
			   : relation;
}

const char *name_of_relation(Oid relation)
{
	const char *name = get_rel_name(relation);
	return name ? quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)), name)
				: "a table";
}

// A finding about the transaction, on a relation of the statement's own.
void add(Analysis *analysis, Cause cause, const Finding &like, Effect effect, Lock lock, Oid held)
{
	const int64 bytes = like.bytes;
	Finding *finding = statement::add_finding(analysis, cause, effect, like.relation, lock);
	finding->bytes = bytes;
	finding->is_target = like.is_target;
	finding->facts =
		psprintf("this transaction holds %s on %s", "a strong lock", name_of_relation(held));
}

bool is_others(const Finding &finding)
{
	return finding.exempt == Exempt::no && OidIsValid(finding.relation);
}

bool is_new(const Finding &finding)
{
	return (finding.exempt == Exempt::created_here || finding.exempt == Exempt::temporary) &&
		   OidIsValid(finding.relation);
}

// Work that the strong locks of earlier statements wait for.
void look_for_work(Analysis *analysis, const Finding &finding)
{
	if (!statement::grows_with_size(finding.effect) || statement::is_strong(finding.lock))
		return;
	const HeldLock *same = held_lock_on(table_of(finding.relation));
	if (same != nullptr && finding.cause == Cause::validate_constraint)
		add(analysis, Cause::validate_in_same_transaction, finding, finding.effect, same->lock,
			same->relation);
	else
		add(analysis, Cause::work_after_strong_lock, finding, finding.effect, finding.lock,
			any_held_lock()->relation);
}

// Not the table matters, but how long the others wait for those that are locked.
void count_although_new(Finding *finding)
{
	finding->exempt = Exempt::no;
	finding->lock = Lock::none;
}

// The rows of a materialized view come by themselves (add_row_findings).
void look_for_work_on_new(Analysis *analysis, const Finding &finding)
{
	if (!statement::grows_with_size(finding.effect) || finding.bytes == 0 ||
		finding.cause == Cause::refresh_materialized_view)
		return;
	add(analysis, Cause::work_after_strong_lock, finding, finding.effect, Lock::none,
		any_held_lock()->relation);
	count_although_new(&analysis->effects->findings[analysis->effects->n - 1]);
}

} // namespace

void add_transaction_findings(Analysis *analysis)
{
	if (any_held_lock() == nullptr)
		return;
	bool told = false;
	int n = analysis->effects->n;
	for (int i = 0; i < n; i++) {
		const Finding finding = analysis->effects->findings[i]; // the array grows
		if (is_new(finding))
			look_for_work_on_new(analysis, finding);
		if (!is_others(finding))
			continue;
		look_for_work(analysis, finding);
		Oid table = table_of(finding.relation);
		if (told || !statement::is_strong(finding.lock) || held_lock_on(table) != nullptr)
			continue;
		told = true;
		add(analysis, Cause::several_strong_locks, finding, Effect::metadata, finding.lock,
			any_held_lock()->relation);
	}
}

namespace {

// That it writes, by the planner; the most of its parts.
double estimated_rows(const PlannedStmt *plan)
{
	double rows = 0;
	auto look = [&rows](const Plan *node) {
		if (node != nullptr && IsA(node, ModifyTable) && outerPlan(node) != nullptr)
			rows = std::max(rows, outerPlan(node)->plan_rows);
	};
	look(plan->planTree);
	ListCell *cell;
	foreach (cell, plan->subplans)
		look(static_cast<const Plan *>(lfirst(cell)));
	return rows;
}

Finding *add_rows(Analysis *analysis, Oid relation, Lock lock, double rows)
{
	Finding *finding = statement::add_finding(analysis, Cause::work_after_strong_lock, Effect::scan,
											  relation, lock);
	finding->bytes = -1;
	finding->facts = psprintf("about %.0f rows, while this transaction holds a strong lock on %s",
							  rows, name_of_relation(any_held_lock()->relation));
	return finding;
}

} // namespace

void add_row_findings(Analysis *analysis, const PlannedStmt *plan, bool fills_table)
{
	if (any_held_lock() == nullptr || rows_were_told)
		return;
	if (fills_table && plan->planTree->plan_rows >= many_rows) {
		rows_were_told = true;
		(void)add_rows(analysis, InvalidOid, Lock::none, plan->planTree->plan_rows);
		return;
	}
	const double rows = estimated_rows(plan);
	if (rows < many_rows)
		return;
	ListCell *cell;
	foreach (cell, pg::written_relations(plan)) {
		Finding *finding = add_rows(analysis, lfirst_oid(cell), Lock::row_exclusive, rows);
		const bool is_filled = finding->exempt == Exempt::empty && plan->commandType == CMD_INSERT;
		if (is_new(*finding) || is_filled)
			count_although_new(finding);
		if (finding->exempt != Exempt::no)
			continue;
		rows_were_told = true;
		return;
	}
}

bool fills_for_long(const PlannedStmt *plan)
{
	return any_held_lock() != nullptr && !rows_were_told && plan->planTree->plan_rows >= many_rows;
}

bool writes_too_many_rows(const PlannedStmt *plan)
{
	const int limit = settings::max_rows_per_statement;
	if (limit <= 0 && any_held_lock() == nullptr)
		return false;
	return (limit > 0 && statement::touched_rows(plan) > limit) ||
		   estimated_rows(plan) >= many_rows;
}

void note_strong_locks(const Effects *effects)
{
	for (int i = 0; i < effects->n; i++) {
		const Finding &finding = effects->findings[i];
		const bool on_empty = finding.exempt == Exempt::empty;
		if (statement::is_strong(finding.lock) && OidIsValid(finding.relation) &&
			(on_empty || finding.exempt == Exempt::no))
			hold_lock(table_of(finding.relation), finding.lock, on_empty);
	}
}

namespace {

// At its end, when deferred triggers have run: they rename and lock as well.
void judge_prepare()
{
	judge_renames();
	const HeldLock *held = any_held_lock_at_all();
	if (held == nullptr || settings::guard == GUARD_OFF || nobody_is_judged_here() ||
		!extension_is_here())
		return;
	Effects effects = {};
	effects.command = "PREPARE TRANSACTION";
	Finding finding = {};
	finding.cause = Cause::prepare_with_strong_lock;
	finding.relation = held->relation;
	finding.lock = held->lock;
	finding.schema = get_namespace_name(get_rel_namespace(held->relation));
	finding.name = get_rel_name(held->relation);
	effects.findings = &finding;
	effects.n = 1;
	Level level = judge(finding, policy_for(finding));
	if (level == Level::allow)
		return;
	bool reject = level == Level::reject;
	const char *reason = override_reason();
	bool enforce = is_enforced();
	if (reject && enforce && reason != nullptr) {
		char *relation = const_cast<char *>(name_of_relation(held->relation));
		OverrideRecord record = {&effects,
								 list_make1(const_cast<char *>(rule_of(finding.cause).name)),
								 list_make1(relation), reason};
		log_override(record);
		return store_override(record);
	}
	report({&effects, &finding, &level, reject && enforce, reject && !enforce});
}

void at_end(XactEvent event, void *)
{
	switch (event) {
		case XACT_EVENT_PRE_COMMIT:
			judge_renames();
			break;
		case XACT_EVENT_PRE_PREPARE:
			judge_prepare();
			break;
		case XACT_EVENT_ABORT:
			override_sees_failure();
			[[fallthrough]];
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
			forget_renames();
			forget_locks();
			rows_were_told = false;
			break;
		default:
			break;
	}
}

void at_subtransaction_end(SubXactEvent event, SubTransactionId own, SubTransactionId parent,
						   void *)
{
	if (event == SUBXACT_EVENT_COMMIT_SUB) {
		reassign_renames(own, parent);
		reassign_locks(own, parent);
	} else if (event == SUBXACT_EVENT_ABORT_SUB) {
		reassign_renames(own, InvalidSubTransactionId);
		reassign_locks(own, InvalidSubTransactionId);
	}
}

} // namespace

void install_transaction_rules()
{
	RegisterXactCallback(at_end, nullptr);
	RegisterSubXactCallback(at_subtransaction_end, nullptr);
}

} // namespace safe_migrate::guard
