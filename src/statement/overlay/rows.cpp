// UPDATE, DELETE and MERGE of a script.  Analysing one as it stands would lock its target as if it
// were to be carried out, so it is the SELECT of the rows it would touch that is planned, in a
// subtransaction that is rolled back; and only where planning runs no function of the users'.
#include <algorithm>

#include "statement/overlay/rows.hpp"

#include "pg/compat.hpp"
#include "pg/compat_analysis.hpp"
#include "pg/guc.hpp"
#include "pg/sqlstates.hpp"
#include "pg/transaction.hpp"
#include "statement/overlay/answer.hpp"
#include "statement/overlay/condition.hpp"
#include "statement/overlay/row_target.hpp"
#include "statement/dependents.hpp"
#include "statement/dml.hpp"
#include "statement/folding.hpp"
#include "settings.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_statistic_ext.h"
#include "commands/defrem.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
}

namespace safe_migrate::statement::overlay {

namespace {

template <class T> T *as(Node *node) { return reinterpret_cast<T *>(node); }

// ---------------------------------------------------------------- what changes rows

struct Change {
	CmdType command;
	Cause cause;
	const RangeVar *target;
	Node *where;
	List *others; // FROM, USING
	Node *source; // of a MERGE, with its condition as where
	WithClause *with;
	bool is_all;		// a MERGE that has its way with rows that match and with all others
	bool any_unmatched; // it has its way with some that don't match
	bool adds_only;		// a MERGE that touches no row that is there
	int64 *touched;		// by the statement's parts up to here
};

MergeActions actions_of(const MergeStmt *merge)
{
	MergeActions actions = {};
	ListCell *cell;
	foreach (cell, merge->mergeWhenClauses) {
		auto *clause = lfirst_node(MergeWhenClause, cell);
		actions.add(clause, clause->condition != nullptr);
	}
	return actions;
}

// A MERGE touches every row that matches where it has an action for them without a condition;
// else Cause::lock.
Change change_of_merge(const MergeStmt *merge)
{
	MergeActions actions = actions_of(merge);
	Cause cause = !actions.all_matched ? Cause::lock
				  : actions.deletes	   ? Cause::delete_without_where
									   : Cause::update_without_where;
	return {CMD_MERGE,
			cause,
			merge->relation,
			merge->joinCondition,
			NIL,
			merge->sourceRelation,
			merge->withClause,
			actions.all_matched && actions.all_unmatched,
			actions.any_unmatched,
			!actions.touches,
			nullptr};
}

bool change_of(Node *node, Change *change)
{
	switch (nodeTag(node)) {
		case T_UpdateStmt: {
			auto *update = castNode(UpdateStmt, node);
			*change = {CMD_UPDATE,		   Cause::update_without_where,
					   update->relation,   update->whereClause,
					   update->fromClause, nullptr,
					   update->withClause, false};
			return true;
		}
		case T_DeleteStmt: {
			auto *statement = castNode(DeleteStmt, node);
			*change = {CMD_DELETE,
					   Cause::delete_without_where,
					   statement->relation,
					   statement->whereClause,
					   statement->usingClause,
					   nullptr,
					   statement->withClause,
					   false};
			return true;
		}
		case T_MergeStmt: {
			*change = change_of_merge(castNode(MergeStmt, node));
			return true;
		}
		default:
			return false;
	}
}

WithClause *with_of(Node *node)
{
	Change change;
	if (change_of(node, &change))
		return change.with;
	if (IsA(node, SelectStmt))
		return castNode(SelectStmt, node)->withClause;
	return IsA(node, InsertStmt) ? castNode(InsertStmt, node)->withClause : nullptr;
}

bool is_analyze(const ExplainStmt *explain)
{
	ListCell *cell;
	foreach (cell, explain->options) {
		auto *option = lfirst_node(DefElem, cell);
		if (strcmp(option->defname, "analyze") == 0 && defGetBoolean(option))
			return true;
	}
	return false;
}

// The query that a utility statement carries out.
Node *query_of(Node *node)
{
	if (IsA(node, ExplainStmt)) {
		Node *explained = carried_out(node);
		return explained != nullptr ? query_of(explained) : node;
	}
	if (IsA(node, CreateTableAsStmt) && !castNode(CreateTableAsStmt, node)->into->skipData)
		return castNode(CreateTableAsStmt, node)->query;
	if (IsA(node, CopyStmt) && castNode(CopyStmt, node)->query != nullptr)
		return castNode(CopyStmt, node)->query;
	return node;
}

// ---------------------------------------------------------------- the rows it would touch

Node *select_of(const Change &change, JoinType of_merge = JOIN_INNER);

// WITH queries that change rows stand for the rows that they would return.
WithClause *reading(const WithClause *with)
{
	if (with == nullptr)
		return nullptr;
	auto *copy = static_cast<WithClause *>(copyObjectImpl(with));
	ListCell *cell;
	foreach (cell, copy->ctes) {
		auto *cte = lfirst_node(CommonTableExpr, cell);
		Change change;
		if (!change_of(cte->ctequery, &change))
			continue;
		List *returning =
			IsA(cte->ctequery, UpdateStmt)	 ? pg::returning_of(as<UpdateStmt>(cte->ctequery))
			: IsA(cte->ctequery, DeleteStmt) ? pg::returning_of(as<DeleteStmt>(cte->ctequery))
											 : NIL;
		Node *select = select_of(change);
		castNode(SelectStmt, select)->targetList = returning;
		cte->ctequery = select;
	}
	return copy;
}

// The target is no WITH query of its name.
Node *target_of(const Change &change)
{
	auto *target = static_cast<RangeVar *>(copyObjectImpl(change.target));
	Oid relation = RangeVarGetRelid(target, NoLock, true);
	if (target->schemaname == nullptr && OidIsValid(relation))
		target->schemaname = get_namespace_name(get_rel_namespace(relation));
	return reinterpret_cast<Node *>(target);
}

Node *select_of(const Change &change, JoinType of_merge)
{
	SelectStmt *select = makeNode(SelectStmt);
	Node *target = target_of(change);
	if (change.source != nullptr) {
		JoinExpr *join = makeNode(JoinExpr);
		join->jointype = of_merge;
		join->larg = target;
		join->rarg = change.source;
		join->quals = change.where;
		select->fromClause = list_make1(join);
	} else {
		select->fromClause = lcons(target, list_copy(change.others));
		select->whereClause = change.where;
	}
	select->withClause = reading(change.with);
	return static_cast<Node *>(copyObjectImpl(select));
}

bool is_users_function(Oid function, void *) { return function >= FirstNormalObjectId; }

// Anything in it that the planner might run or ask, at any level; what the caller may not read.
bool is_unfit(Node *node, void *context)
{
	if (node == nullptr)
		return false;
	if (IsA(node, Query)) {
		auto *query = castNode(Query, node);
		return !pg::may_run_query(query) || pg::walk_query(query, is_unfit, context, 0);
	}
	if (IsA(node, CoerceToDomain) || check_functions_in_node(node, is_users_function, context))
		return true;
	return pg::walk_expression(node, is_unfit, context);
}

// Expressions that the planner folds, of a catalog's row; those of statistics are a list, too.
template <auto cache, int n> bool is_row_unfit(Oid object, const AttrNumber (&attributes)[n])
{
	HeapTuple tuple = SearchSysCache1(cache, ObjectIdGetDatum(object));
	if (!HeapTupleIsValid(tuple))
		return false;
	bool unfit = false;
	for (AttrNumber attribute : attributes) {
		bool is_null;
		Datum stored = SysCacheGetAttr(cache, tuple, attribute, &is_null);
		if (!is_null && !unfit)
			unfit = calls_user_code(static_cast<Node *>(stringToNode(TextDatumGetCString(stored))));
	}
	ReleaseSysCache(tuple);
	return unfit;
}

constexpr AttrNumber index_expressions[] = {Anum_pg_index_indexprs, Anum_pg_index_indpred};
constexpr AttrNumber statistics_expressions[] = {Anum_pg_statistic_ext_stxexprs};

List *extended_statistics(Oid relation)
{
	Relation rel = open_judged(relation);
	if (rel == nullptr)
		return NIL;
	List *statistics = RelationGetStatExtList(rel);
	close_judged(rel);
	return statistics;
}

// The planner folds the expressions of indexes and of extended statistics too.
bool is_relation_unfit(Oid relation)
{
	ListCell *cell;
	foreach (cell, own_indexes(relation))
		if (is_row_unfit<INDEXRELID>(lfirst_oid(cell), index_expressions))
			return true;
	foreach (cell, extended_statistics(relation))
		if (is_row_unfit<STATEXTOID>(lfirst_oid(cell), statistics_expressions))
			return true;
	return false;
}

// At any level: in WITH and in sub-selects, too.
bool are_relations_unfit(Node *node, void *context)
{
	if (node == nullptr)
		return false;
	if (!IsA(node, Query))
		return pg::walk_expression(node, are_relations_unfit, context);
	auto *query = castNode(Query, node);
	ListCell *cell;
	foreach (cell, query->rtable) {
		auto *entry = lfirst_node(RangeTblEntry, cell);
		if (entry->rtekind != RTE_RELATION)
			continue;
		ListCell *other;
		foreach (other, with_descendants(entry->relid)) {
			if (is_relation_unfit(lfirst_oid(other)))
				return true;
		}
	}
	return pg::walk_query(query, are_relations_unfit, context, 0);
}

struct Planned {
	bool planned;
	bool leaves_some; // so much can be told of one that is not planned
	bool touches_all;
	int64 rows;
	List *locked; // of the target and its descendants, as oids: what the planner has not pruned
};

// The relations of these range table indexes.
List *oids_of(const PlannedStmt *plan, const List *indexes)
{
	List *oids = NIL;
	ListCell *cell;
	foreach (cell, indexes)
		oids = list_append_unique_oid(oids, rt_fetch(lfirst_int(cell), plan->rtable)->relid);
	return oids;
}

List *leaves_in(const PlannedStmt *plan, List *family)
{
	List *leaves = NIL;
	ListCell *cell;
	int index = 0;
	foreach (cell, plan->rtable) {
		auto *entry = lfirst_node(RangeTblEntry, cell);
		index++;
		if (entry->rtekind == RTE_RELATION && list_member_oid(family, entry->relid))
			leaves = lappend_int(leaves, index);
	}
	return leaves;
}

// nullptr: it can't be planned without running a function of the users'; *leaves_some: it leaves
// out rows.
Query *analyse_select(Analysis *analysis, Node *select, bool *leaves_some)
{
	RawStmt *raw = makeNode(RawStmt);
	raw->stmt = select;
	List *queries = pg_analyze_and_rewrite_fixedparams(raw, analysis->source, nullptr, 0, nullptr);
	auto *query = linitial_node(Query, queries);
	auto *node = reinterpret_cast<Node *>(query);
	if (is_unfit(node, nullptr) || are_relations_unfit(node, nullptr)) {
		*leaves_some = compares_column(query);
		return nullptr;
	}
	return query;
}

PlannedStmt *plan_select(Analysis *analysis, Node *select, bool *leaves_some)
{
	Query *query = analyse_select(analysis, select, leaves_some);
	if (query == nullptr)
		return nullptr;
	pg::set_local("constraint_exclusion", "off");
	return pg::plan_query(query, analysis->source);
}

bool has_condition(const Query *query)
{
	List *conditions = list_make1(query->jointree->quals);
	ListCell *cell;
	foreach (cell, query->jointree->fromlist)
		if (IsA(lfirst(cell), JoinExpr))
			conditions = lappend(conditions, lfirst_node(JoinExpr, cell)->quals);
	foreach (cell, conditions) {
		Node *condition =
			eval_const_expressions(nullptr, static_cast<Node *>(copyObjectImpl(lfirst(cell))));
		auto *constant = reinterpret_cast<Const *>(condition);
		if (condition != nullptr && (!IsA(condition, Const) || constant->constisnull ||
									 !DatumGetBool(constant->constvalue)))
			return true;
	}
	return false;
}

// Where all partitions are elsewhere there is nothing here to plan.
void look_at_condition(Analysis *analysis, Node *select, Planned *result)
{
	const Query *query = analyse_select(analysis, select, &result->leaves_some);
	result->planned = query != nullptr;
	result->touches_all = query != nullptr && !has_condition(query);
}

void plan_rows(Analysis *analysis, const Change &change, Oid relation, Planned *result)
{
	if (has_rows_elsewhere(relation) && leaves(relation) == NIL)
		return look_at_condition(analysis, select_of(change), result);
	const PlannedStmt *plan = plan_select(analysis, select_of(change), &result->leaves_some);
	if (plan == nullptr)
		return;
	result->planned = true;
	result->rows = static_cast<int64>(plan->planTree->plan_rows);
	List *leaves = leaves_in(plan, with_descendants(relation));
	result->touches_all = !leaves_rows_out(plan->planTree, leaves);
	result->locked = oids_of(plan, leaves);
	if (!change.any_unmatched)
		return;
	// transform_MERGE_to_join(): then the target is on the outer side
	plan = plan_select(analysis, select_of(change, JOIN_LEFT), &result->leaves_some);
	result->planned = plan != nullptr;
	if (plan != nullptr)
		result->rows = std::max(result->rows, static_cast<int64>(plan->planTree->plan_rows));
}

// Its locks go with the subtransaction.
template <class Plan> Planned plan_and_forget(Plan &&plan)
{
	Planned result = {};
	bool done = false;
	ErrorData *error = pg::run_subtransaction([&] {
		plan(&result);
		done = true;
		ereport(ERROR, (errcode(pg::errcode_roll_back),
						errmsg_internal("locks of the plan are given back")));
	});
	if (!done)
		ReThrowError(error);
	return result;
}

Planned plan_and_forget(Analysis *analysis, const Change &change, Oid relation)
{
	return plan_and_forget([&](Planned *result) { plan_rows(analysis, change, relation, result); });
}

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

// Where the script has changed what is named, a condition may name a column that is not there yet.
template <class Plan> Planned plan_if_possible(Plan &&plan)
{
	Planned planned = {};
	ErrorData *error = pg::run_subtransaction([&] { planned = plan(); });
	if (error != nullptr && error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		ReThrowError(error);
	return error == nullptr ? planned : Planned{};
}

Planned plan_changed(Analysis *analysis, const Change &change, Oid named, Oid relation)
{
	if (RangeVarGetRelid(change.target, NoLock, true) != named)
		return {};
	return plan_if_possible([&] { return plan_and_forget(analysis, change, relation); });
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
		planned = changed == 0 ? plan_and_forget(analysis, change, relation)
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

Planned plan_rows_of(Analysis *analysis, Node *select)
{
	return plan_if_possible([&] {
		return plan_and_forget([&](Planned *result) {
			const PlannedStmt *plan = plan_select(analysis, select, &result->leaves_some);
			result->planned = plan != nullptr;
			result->rows = plan != nullptr ? static_cast<int64>(plan->planTree->plan_rows) : 0;
		});
	});
}

// The rows that it adds; planned = false where that can't be told.
Planned plan_insertion(Analysis *analysis, const InsertStmt *insert)
{
	if (insert->selectStmt == nullptr)
		return {true, true, false, 1, NIL};
	auto *select = static_cast<SelectStmt *>(copyObjectImpl(insert->selectStmt));
	if (select->valuesLists != NIL)
		return {true, true, false, list_length(select->valuesLists), NIL};
	if (insert->withClause != nullptr && select->withClause != nullptr)
		return {};
	if (insert->withClause != nullptr)
		select->withClause = reading(insert->withClause);
	return plan_rows_of(analysis, reinterpret_cast<Node *>(select));
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
	note_written(overlay, InvalidOid, plan_rows_of(analysis, reinterpret_cast<Node *>(select)));
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

Node *carried_out(Node *statement)
{
	if (!IsA(statement, ExplainStmt))
		return statement;
	auto *explain = castNode(ExplainStmt, statement);
	return is_analyze(explain) ? explain->query : nullptr;
}

bool executes_prepared(const Node *statement)
{
	return IsA(query_of(const_cast<Node *>(statement)), ExecuteStmt);
}

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
