// See rows.hpp.
#include "statement/overlay/rows.hpp"

#include "settings.hpp"
#include "statement/dependents.hpp"
#include "statement/dml.hpp"
#include "statement/overlay/answer.hpp"
#include "statement/overlay/condition.hpp"
#include "statement/overlay/row_plan.hpp"
#include "statement/overlay/row_target.hpp"

extern "C" {
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "utils/lsyscache.h"
}

namespace safe_migrate::statement::overlay {

namespace {

// ---------------------------------------------------------------- findings

void add_rows(Analysis *analysis, const Change &change, Oid relation, Cause cause, Effect effect,
			  int64 rows)
{
	Finding *finding = add_finding(analysis, cause, effect, relation, Lock::row_exclusive);
	finding->is_target = true;
	finding->bytes = change.target->inh ? heap_bytes(relation) : own_heap_bytes(relation);
	if (finding->bytes == 0 && finding->exempt == Exempt::no)
		finding->exempt = Exempt::empty; // whatever its children have
	finding->rows = rows;
	finding->definition = analysis->effects->text;
}

// What else the statement locks as it locks the table whose rows it touches.
void add_others(Analysis *analysis, const Change &change, const RowTarget &target,
				const Planned &planned)
{
	add_locks(analysis, target.views, Lock::row_exclusive);
	if (planned.locked != NIL)
		add_locks(analysis, planned.locked, Lock::row_exclusive);
	else if (change.target->inh || target.views != NIL)
		add_locks(analysis, with_descendants(target.relation), Lock::row_exclusive);
}

constexpr const char *what_decides = "its rules, its INSTEAD OF triggers or the view that it is";

// What the rows hinge on was changed by the script: 0 = nothing.
int changed_by(const Overlay *overlay, const Change &change, const Named &target)
{
	const char *what;
	if (!overlay->changes)
		return 0;
	if (target.script != nullptr)
		return target.script->changed_by;
	return change.where != nullptr ? names_changed_object(overlay, change.where, &what) : 0;
}

bool has_no_condition(const Change &change)
{
	return change.where == nullptr && change.others == NIL && change.source == nullptr;
}

void add_estimate(Overlay *overlay, Analysis *analysis, const Change &change, Oid relation,
				  const Planned &planned, int changed)
{
	if (changed != 0)
		return add_dependence(overlay, analysis, relation, changed, "how many rows it would touch");
	*change.touched += planned.rows;
	if (planned.planned &&
		(planned.rows == 0 || *change.touched <= settings::max_rows_per_statement))
		return;
	add_rows(analysis, change, relation, Cause::too_many_rows, Effect::metadata,
			 planned.planned ? *change.touched : 0);
	Finding *finding = &analysis->effects->findings[analysis->effects->n - 1];
	if (!planned.planned)
		finding->facts =
			"how many rows can't be estimated without running a function, or reading statistics "
			"that the role may not read";
	else if (planned.rows < *change.touched)
		finding->facts = counted_together;
}

// A condition that was not planned may be true of all rows.
bool may_touch_all(const Change &change, const Planned &planned)
{
	const bool positioned = change.where != nullptr && IsA(change.where, CurrentOfExpr);
	return !positioned && change.cause != Cause::lock && !planned.planned && !planned.leaves_some;
}

void add_doubt(Overlay *overlay, Analysis *analysis, const Change &change, Oid relation,
			   const Planned &planned, int changed)
{
	if (changed != 0) {
		add_rows(analysis, change, relation, Cause::lock, Effect::metadata, planned.rows);
		return add_dependence(overlay, analysis, relation, changed, "whether it touches all rows");
	}
	add_rows(analysis, change, relation, change.cause, Effect::metadata, planned.rows);
	analysis->effects->findings[analysis->effects->n - 1].undecided =
		"whether it touches all rows can't be told without running a function, or reading "
		"statistics that the role may not read";
}

// What the block's strong locks have to wait for: the most of the statement's parts.
void note_written(Overlay *overlay, Oid relation, const Planned &planned)
{
	double rows = planned.planned ? static_cast<double>(planned.rows) : -1;
	if ((OidIsValid(overlay->written) || overlay->fills_new) && overlay->rows >= 0 && rows >= 0 &&
		overlay->rows >= rows)
		return;
	overlay->written = relation;
	overlay->fills_new = !OidIsValid(relation);
	overlay->rows = rows;
}

// A new table of the script's: of how many rows nobody knows.
void note_new_written(Overlay *overlay, const ScriptRelation *relation)
{
	if (holds_strong_lock(overlay) && relation->filled_by != 0)
		note_written(overlay, InvalidOid, {});
}

void judge_table(Overlay *overlay, Analysis *analysis, const Change &change, const Named &target,
				 const RowTarget &row_target)
{
	Oid relation = row_target.relation;
	bool bare = has_no_condition(change);
	bool is_view = relation != target.oid;
	bool estimates = settings::max_rows_per_statement > 0 && !change.adds_only;
	bool positioned = change.where != nullptr && IsA(change.where, CurrentOfExpr);
	int changed = changed_by(overlay, change, target);
	Planned planned = {};
	bool is_watched = holds_strong_lock(overlay) && !positioned;
	if (!positioned && (!bare || is_view || estimates || is_watched))
		planned = changed == 0 ? plan_change(analysis, change, relation)
							   : plan_changed(analysis, change, target.oid, relation);
	if (is_watched)
		note_written(overlay, relation, planned);
	if (is_view && planned.planned)
		bare = false; // it may leave rows out
	int n = analysis->effects->n;
	if (bare || change.is_all || (planned.touches_all && change.cause != Cause::lock))
		add_rows(analysis, change, relation, change.cause,
				 change.cause == Cause::delete_without_where ? Effect::data_loss : Effect::scan,
				 planned.rows);
	if (estimates && !positioned)
		add_estimate(overlay, analysis, change, relation, planned, changed);
	if (analysis->effects->n == n && may_touch_all(change, planned))
		add_doubt(overlay, analysis, change, relation, planned, changed);
	else if (analysis->effects->n == n)
		add_rows(analysis, change, relation, Cause::lock, Effect::metadata, planned.rows);
	add_others(analysis, change, row_target, planned);
}

void judge(Overlay *overlay, Analysis *analysis, const Change &change)
{
	Named target = resolve(overlay, change.target);
	insist_on(overlay, change.target, target);
	if (!target.exists())
		target.oid = RangeVarGetRelid(change.target, NoLock, false);
	RowTarget rows = row_target(overlay, target, change.command);
	if (rows.changed_by != 0)
		return add_dependence(overlay, analysis, target.oid, rows.changed_by, what_decides);
	if (target.is_new()) {
		note_new_written(overlay, target.script);
		return judge_new(overlay, analysis, target.script, Lock::row_exclusive);
	}
	analysis->effects->runs_code |= rows.is_rewritten;
	if (rows.is_replaced)
		return add_locks(analysis, rows.views, Lock::row_exclusive);
	if (!change.target->inh && get_rel_relkind(target.oid) == RELKIND_PARTITIONED_TABLE)
		return add_rows(analysis, change, rows.relation, Cause::lock, Effect::metadata, 0);
	judge_table(overlay, analysis, change, target, rows);
}

// Rows that are added harm nobody, but for what rules and triggers make of them, and as far as
// somebody waits for the transaction.
void look_at_insertion(Overlay *overlay, Analysis *analysis, const InsertStmt *insert)
{
	Named target = resolve(overlay, insert->relation);
	if (!target.exists())
		return;
	RowTarget rows = row_target(overlay, target, CMD_INSERT);
	if (rows.changed_by != 0)
		return add_dependence(overlay, analysis, target.oid, rows.changed_by, what_decides);
	analysis->effects->runs_code |= rows.is_rewritten;
	if (rows.is_replaced || !holds_strong_lock(overlay))
		return;
	overlay->inserts = true;
	note_written(overlay, target.is_new() ? InvalidOid : rows.relation,
				 plan_insertion(analysis, insert));
}

// CREATE TABLE AS, SELECT INTO, CREATE MATERIALIZED VIEW.
void look_at_new_table(Overlay *overlay, Analysis *analysis, Node *statement)
{
	Node *query = query_of(statement);
	const bool is_into =
		IsA(statement, SelectStmt) && castNode(SelectStmt, statement)->intoClause != nullptr;
	if ((!is_into && !IsA(statement, CreateTableAsStmt)) || query == nullptr ||
		!IsA(query, SelectStmt) || !holds_strong_lock(overlay))
		return;
	auto *select = static_cast<SelectStmt *>(copyObjectImpl(query));
	select->intoClause = nullptr;
	if (select->withClause != nullptr)
		select->withClause = reading(select->withClause);
	note_written(overlay, InvalidOid, plan_query(analysis, reinterpret_cast<Node *>(select)));
}

void analyse_change(Overlay *overlay, Analysis *analysis, Node *node, WithClause *around,
					int64 *touched)
{
	Change change;
	if (IsA(node, InsertStmt))
		return look_at_insertion(overlay, analysis, castNode(InsertStmt, node));
	if (!change_of(node, &change))
		return;
	if (change.with == nullptr)
		change.with = around;
	change.touched = touched;
	judge(overlay, analysis, change);
}

} // namespace

void analyse_rows(Overlay *overlay, Analysis *analysis, const RawStmt *raw)
{
	Node *query = query_of(raw->stmt);
	WithClause *with = with_of(query);
	int64 touched = 0;
	ListCell *cell;
	if (with != nullptr)
		foreach (cell, with->ctes)
			analyse_change(overlay, analysis, lfirst_node(CommonTableExpr, cell)->ctequery, with,
						   &touched);
	analyse_change(overlay, analysis, query, nullptr, &touched);
	look_at_new_table(overlay, analysis, raw->stmt);
}

} // namespace safe_migrate::statement::overlay
