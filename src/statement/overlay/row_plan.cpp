// See row_plan.hpp.  Analysing a statement as it stands would lock its target as if it were to be
// carried out, so it is the SELECT of the rows it would touch that is planned, in a subtransaction
// that is rolled back; and only where planning runs no function of the users'.
#include "statement/overlay/row_plan.hpp"

#include <algorithm>

#include "pg/compat.hpp"
#include "pg/compat_analysis.hpp"
#include "pg/guc.hpp"
#include "pg/sqlstates.hpp"
#include "pg/transaction.hpp"
#include "statement/dependents.hpp"
#include "statement/dml.hpp"
#include "statement/folding.hpp"
#include "statement/relations.hpp"
#include "statement/overlay/condition.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_index.h"
#include "catalog/pg_statistic_ext.h"
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

Node *select_of(const Change &change, JoinType of_merge = JOIN_INNER);

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

// Where the script has changed what is named, a condition may name a column that is not there yet.
template <class Plan> Planned plan_if_possible(Plan &&plan)
{
	Planned planned = {};
	ErrorData *error = pg::run_subtransaction([&] { planned = plan(); });
	if (error != nullptr && error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		ReThrowError(error);
	return error == nullptr ? planned : Planned{};
}

} // namespace

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

Planned plan_change(Analysis *analysis, const Change &change, Oid relation)
{
	return plan_and_forget([&](Planned *result) { plan_rows(analysis, change, relation, result); });
}

Planned plan_changed(Analysis *analysis, const Change &change, Oid named, Oid relation)
{
	if (RangeVarGetRelid(change.target, NoLock, true) != named)
		return {};
	return plan_if_possible([&] { return plan_change(analysis, change, relation); });
}

Planned plan_query(Analysis *analysis, Node *select)
{
	return plan_if_possible([&] {
		return plan_and_forget([&](Planned *result) {
			const PlannedStmt *plan = plan_select(analysis, select, &result->leaves_some);
			result->planned = plan != nullptr;
			result->rows = plan != nullptr ? static_cast<int64>(plan->planTree->plan_rows) : 0;
		});
	});
}

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
	return plan_query(analysis, reinterpret_cast<Node *>(select));
}

} // namespace safe_migrate::statement::overlay
