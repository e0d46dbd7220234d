// See expression.hpp.
#include "operations/backfill/expression.hpp"

#include "pg/compat_analysis.hpp"
#include "pg/node_type.hpp"

extern "C" {
#include "access/sysattr.h"
#include "catalog/heap.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/rel.h"
}

namespace safe_migrate::operations::backfill {

namespace {

// Columns -----------------------------------------------------------------------------

struct ColumnSearch {
	Bitmapset *found;
	int depth; // of sub-selects
};

bool find_columns(Node *node, void *arg)
{
	auto *search = static_cast<ColumnSearch *>(arg);
	if (node == nullptr)
		return false;
	if (IsA(node, Var)) {
		auto *var = castNode(Var, node);
		if (var->varno == 1 && static_cast<int>(var->varlevelsup) == search->depth)
			search->found =
				bms_add_member(search->found, var->varattno - FirstLowInvalidHeapAttributeNumber);
		return false;
	}
	if (IsA(node, Query)) {
		search->depth++;
		bool stop = pg::walk_query(castNode(Query, node), find_columns, arg, 0);
		search->depth--;
		return stop;
	}
	return pg::walk_expression(node, find_columns, arg);
}

Node *generation_expression(TupleDesc desc, AttrNumber attnum)
{
	for (int i = 0; desc->constr != nullptr && i < desc->constr->num_defval; i++)
		if (desc->constr->defval[i].adnum == attnum)
			return static_cast<Node *>(stringToNode(desc->constr->defval[i].adbin));
	return nullptr;
}

// Temporary objects -------------------------------------------------------------------

bool is_temporary(Oid name_space)
{
	return OidIsValid(name_space) && isAnyTempNamespace(name_space);
}

// The namespace of a row that a syscache has by its oid; InvalidOid where there is none.
template <class Form> Oid namespace_of(SysCacheIdentifier cache, Oid oid, Oid Form::*column)
{
	HeapTuple tuple = SearchSysCache1(cache, ObjectIdGetDatum(oid));
	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	Oid name_space = reinterpret_cast<const Form *>(GETSTRUCT(tuple))->*column;
	ReleaseSysCache(tuple);
	return name_space;
}

Oid namespace_of_type(Oid type)
{
	return namespace_of(TYPEOID, type, &FormData_pg_type::typnamespace);
}

Oid namespace_of_operator(Oid op)
{
	return namespace_of(OPEROID, op, &FormData_pg_operator::oprnamespace);
}

Oid namespace_of_collation(Oid collation)
{
	return namespace_of(COLLOID, collation, &FormData_pg_collation::collnamespace);
}

// What kind of temporary object a reg* constant names, nullptr = none; the same list of types as
// in find_expr_references_walker() of dependency.c.
const char *temporary_constant(const Const *constant)
{
	if (constant->constisnull)
		return nullptr;
	Oid oid = DatumGetObjectId(constant->constvalue);
	switch (constant->consttype) {
		case REGCLASSOID:
			return is_temporary(get_rel_namespace(oid)) ? "relation" : nullptr;
		case REGTYPEOID:
			return is_temporary(namespace_of_type(oid)) ? "type" : nullptr;
		case REGPROCOID:
		case REGPROCEDUREOID:
			return is_temporary(get_func_namespace(oid)) ? "function" : nullptr;
		case REGOPEROID:
		case REGOPERATOROID:
			return is_temporary(namespace_of_operator(oid)) ? "operator" : nullptr;
		default:
			return nullptr;
	}
}

bool function_is_temporary(Oid function, void *)
{
	return is_temporary(get_func_namespace(function));
}

struct TemporarySearch {
	const char *kind; // what was found, nullptr = nothing yet
	Oid relation;	  // where it is one of a sub-select, which has its position in the raw tree
	int location;
};

const char *temporary_in(Node *node)
{
	if (IsA(node, RangeTblEntry)) {
		auto *rte = castNode(RangeTblEntry, node);
		return rte->rtekind == RTE_RELATION && is_temporary(get_rel_namespace(rte->relid))
				   ? "relation"
				   : nullptr;
	}
	if (IsA(node, Const) && temporary_constant(castNode(Const, node)) != nullptr)
		return temporary_constant(castNode(Const, node));
	if (IsA(node, CollateExpr))
		return is_temporary(namespace_of_collation(castNode(CollateExpr, node)->collOid))
				   ? "collation"
				   : nullptr;
	if (IsA(node, OpExpr) && is_temporary(namespace_of_operator(castNode(OpExpr, node)->opno)))
		return "operator";
	if (check_functions_in_node(node, function_is_temporary, nullptr))
		return "function";
	if (pg::has_own_type(node)) {
		Oid type = exprType(node);
		Oid element = get_element_type(type);
		if (is_temporary(namespace_of_type(OidIsValid(element) ? element : type)))
			return "type";
	}
	return nullptr;
}

bool find_temporary(Node *node, void *arg)
{
	auto *search = static_cast<TemporarySearch *>(arg);
	if (node == nullptr)
		return false;
	search->kind = temporary_in(node);
	if (search->kind != nullptr) {
		if (IsA(node, RangeTblEntry))
			search->relation = castNode(RangeTblEntry, node)->relid;
		else
			search->location = exprLocation(node);
		return true;
	}
	if (IsA(node, RangeTblEntry))
		return false; // its parts are walked by themselves
	if (IsA(node, Query))
		return pg::walk_query(castNode(Query, node), find_temporary, arg, QTW_EXAMINE_RTES_BEFORE);
	return pg::walk_expression(node, find_temporary, arg);
}

// Where a raw tree names the relation.
bool find_relation(Node *node, void *arg)
{
	auto *search = static_cast<TemporarySearch *>(arg);
	if (node == nullptr)
		return false;
	if (!IsA(node, RangeVar))
		return pg::walk_raw_expression(node, find_relation, arg);
	auto *name = castNode(RangeVar, node);
	if (RangeVarGetRelid(name, NoLock, true) != search->relation)
		return false;
	search->location = name->location;
	return true;
}

// Comparing ---------------------------------------------------------------------------

// Clears what the deparser is free to choose: aliases, output names, operator names of sub-links.
bool forget_names(Node *node, void *arg)
{
	if (node == nullptr)
		return false;
	if (IsA(node, TargetEntry))
		castNode(TargetEntry, node)->resname = nullptr;
	else if (IsA(node, SubLink))
		castNode(SubLink, node)->operName = NIL;
	else if (IsA(node, JoinExpr)) {
		castNode(JoinExpr, node)->alias = nullptr;
		castNode(JoinExpr, node)->join_using_alias = nullptr;
		castNode(JoinExpr, node)->isNatural = false; // written out as USING
		castNode(JoinExpr, node)->usingClause = NIL; // whose meaning is in its condition
	} else if (IsA(node, Query)) {
		ListCell *lc;
		foreach (lc, castNode(Query, node)->rtable) {
			auto *rte = lfirst_node(RangeTblEntry, lc);
			rte->alias = nullptr;
			rte->eref = nullptr;
			rte->join_using_alias = nullptr;
		}
		pg::forget_selected(castNode(Query, node)); // a whole row, or its columns
		return pg::walk_query(castNode(Query, node), forget_names, arg, 0);
	}
	return pg::walk_expression(node, forget_names, arg);
}

Node *without_names(Node *node)
{
	auto *copy = static_cast<Node *>(copyObjectImpl(node));
	forget_names(copy, nullptr);
	return copy;
}

} // namespace

Bitmapset *columns_read(Node *expression)
{
	ColumnSearch search = {nullptr, 0};
	find_columns(expression, &search);
	return search.found;
}

Bitmapset *columns_depended_on(Node *expression, Relation target)
{
	TupleDesc desc = RelationGetDescr(target);
	Bitmapset *read = columns_read(expression);
	if (bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, read))
		for (int i = 1; i <= desc->natts; i++)
			read = bms_add_member(read, i - FirstLowInvalidHeapAttributeNumber);
	Bitmapset *all = bms_copy(read);
	int member = -1;
	while ((member = bms_next_member(read, member)) >= 0) {
		int attnum = member + FirstLowInvalidHeapAttributeNumber;
		if (attnum > 0 && TupleDescAttr(desc, attnum - 1)->attgenerated != '\0')
			all = bms_add_members(
				all, columns_read(generation_expression(desc, static_cast<AttrNumber>(attnum))));
	}
	return all;
}

void check_expression(ParseState *state, Node *expression, Node *raw)
{
	Bitmapset *read = columns_read(expression);
	for (int attnum = FirstLowInvalidHeapAttributeNumber + 1; attnum < 0; attnum++)
		if (attnum != TableOidAttributeNumber &&
			bms_is_member(attnum - FirstLowInvalidHeapAttributeNumber, read))
			ereport(
				ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg(
					 "system column \"%s\" can't be used here",
					 NameStr(SystemAttributeDefinition(static_cast<AttrNumber>(attnum))->attname)),
				 errdetail("The job itself changes it in every row that it writes.")));

	TemporarySearch search = {nullptr, InvalidOid, -1};
	if (find_temporary(expression, &search)) {
		if (OidIsValid(search.relation))
			find_relation(raw, &search);
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						OidIsValid(search.relation)
							? errmsg("temporary relation \"%s\" can't be used here",
									 get_rel_name(search.relation))
							: errmsg("a temporary %s can't be used here", search.kind),
						errdetail("The job runs in a worker, which does not see the temporary "
								  "objects of this session."),
						parser_errposition(state, search.location)));
	}
}

bool same_meaning(Node *a, Node *b) { return equal(without_names(a), without_names(b)); }

namespace {

bool is_foreign_volatile(Oid function, void *)
{
	return function >= FirstNormalObjectId && func_volatile(function) == PROVOLATILE_VOLATILE;
}

bool own_changes_walker(Node *node, void *context)
{
	if (node == nullptr)
		return false;
	if (check_functions_in_node(node, is_foreign_volatile, context))
		return true;
	if (IsA(node, Query))
		return pg::walk_query(castNode(Query, node), own_changes_walker, context, 0);
	return pg::walk_expression(node, own_changes_walker, context);
}

} // namespace

namespace {

bool is_foreign_mutable(Oid function, void *)
{
	return function >= FirstNormalObjectId && func_volatile(function) != PROVOLATILE_IMMUTABLE;
}

bool reads_any(const RangeTblEntry *rte, const List *relations)
{
	if (rte->rtekind != RTE_RELATION || rte->relid < FirstNormalObjectId)
		return false;
	if (rte->relkind == RELKIND_VIEW)
		return true;
	ListCell *lc;
	foreach (lc, find_all_inheritors(rte->relid, NoLock, nullptr))
		if (list_member_oid(relations, lfirst_oid(lc)))
			return true;
	return false;
}

bool reading_walker(Node *node, void *relations)
{
	if (node == nullptr)
		return false;
	if (IsA(node, RangeTblEntry)) // its parts are walked by themselves
		return reads_any(castNode(RangeTblEntry, node), static_cast<const List *>(relations));
	if (check_functions_in_node(node, is_foreign_mutable, nullptr))
		return true;
	if (IsA(node, Query))
		return pg::walk_query(castNode(Query, node), reading_walker, relations,
							  QTW_EXAMINE_RTES_BEFORE);
	return pg::walk_expression(node, reading_walker, relations);
}

} // namespace

bool may_read(Node *expression, const List *relations)
{
	return reading_walker(expression, const_cast<List *>(relations));
}

namespace {

// Tables alone: what a view or a function reads is not looked at.
bool rows_walker(Node *node, void *relations)
{
	if (node == nullptr)
		return false;
	if (IsA(node, RangeTblEntry)) {
		const auto *rte = castNode(RangeTblEntry, node);
		return rte->relkind != RELKIND_VIEW && reads_any(rte, static_cast<const List *>(relations));
	}
	if (IsA(node, Query))
		return pg::walk_query(castNode(Query, node), rows_walker, relations,
							  QTW_EXAMINE_RTES_BEFORE);
	return pg::walk_expression(node, rows_walker, relations);
}

} // namespace

bool reads_rows_of(Node *expression, const List *relations)
{
	return rows_walker(expression, const_cast<List *>(relations));
}

bool may_read_own_changes(Node *query) { return own_changes_walker(query, nullptr); }

} // namespace safe_migrate::operations::backfill
