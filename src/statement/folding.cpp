// See folding.hpp.
#include "statement/folding.hpp"

#include "pg/call_watch.hpp"
#include "pg/compat_alter.hpp"
#include "pg/transaction.hpp"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_type.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

namespace safe_migrate::statement {

namespace {

const List *arguments_of(Node *node)
{
	switch (nodeTag(node)) {
		case T_FuncExpr:
			return reinterpret_cast<FuncExpr *>(node)->args;
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
			return reinterpret_cast<OpExpr *>(node)->args;
		case T_ScalarArrayOpExpr:
			return reinterpret_cast<ScalarArrayOpExpr *>(node)->args;
		default:
			return NIL;
	}
}

// A call with a plain column among its own arguments can't be made before there is a row.  (A
// column deeper inside may be simplified away.)
bool waits_for_row(Node *node)
{
	ListCell *cell;
	foreach (cell, arguments_of(node)) {
		auto *argument = static_cast<Node *>(lfirst(cell));
		while (IsA(argument, RelabelType))
			argument = reinterpret_cast<Node *>(reinterpret_cast<RelabelType *>(argument)->arg);
		if (IsA(argument, Var))
			return true;
	}
	return false;
}

// Folding calls what is IMMUTABLE, and puts the body of an SQL function in its place, which may be.
bool may_be_folded(Oid function, void *node)
{
	if (function < FirstNormalObjectId)
		return false;
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	if (!HeapTupleIsValid(tuple))
		return true;
	auto *form = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple));
	bool may_be =
		(form->provolatile == PROVOLATILE_IMMUTABLE && !waits_for_row(static_cast<Node *>(node))) ||
		form->prolang == SQLlanguageId || OidIsValid(form->prosupport);
	ReleaseSysCache(tuple);
	return may_be;
}

bool has_support_of_users(Oid function, void *)
{
	return function >= FirstNormalObjectId && OidIsValid(get_func_support(function));
}

// array_eq() and its kin call the functions of the type that they are given.
bool is_user_type(Oid type)
{
	if (type >= FirstNormalObjectId)
		return true;
	return type == RECORDOID || type == RECORDARRAYOID;
}

bool works_on_user_type(Node *node)
{
	switch (nodeTag(node)) {
		case T_CoerceViaIO:
			return is_user_type(reinterpret_cast<CoerceViaIO *>(node)->resulttype) ||
				   is_user_type(exprType(
					   reinterpret_cast<Node *>(reinterpret_cast<CoerceViaIO *>(node)->arg)));
		case T_CoerceToDomain:
			return domain_has_constraints(reinterpret_cast<CoerceToDomain *>(node)->resulttype);
		default:
			break;
	}
	if (waits_for_row(node))
		return false;
	ListCell *cell;
	foreach (cell, arguments_of(node)) {
		if (is_user_type(exprType(static_cast<Node *>(lfirst(cell)))))
			return true;
	}
	return false;
}

bool find_user_code(Node *node, void *context)
{
	if (node == nullptr)
		return false;
	if (check_functions_in_node(node, may_be_folded, node) || works_on_user_type(node))
		return true;
	return pg::walk_expression(node, find_user_code, context);
}

// Would planning do more of the users' than put bodies of SQL functions in their places, that no
// watch of calls sees?
bool find_unwatched(Node *node, void *context)
{
	if (node == nullptr)
		return false;
	if (check_functions_in_node(node, has_support_of_users, nullptr) || works_on_user_type(node))
		return true;
	return pg::walk_expression(node, find_unwatched, context);
}

Node *planned(Node *expression)
{
	return reinterpret_cast<Node *>(expression_planner(reinterpret_cast<Expr *>(expression)));
}

// nullptr where it would call a function of the users', or the server refuses it.
Node *plan_without_calls(Node *expression)
{
	Node *result = nullptr;
	bool stopped = false;
	ErrorData *error = pg::run_subtransaction([&] {
		pg::without_calls(pg::Calls::of_users, &stopped, [&] { result = planned(expression); });
	});
	if (error && error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		ReThrowError(error);
	return error || stopped ? nullptr : result;
}

bool has_check(Oid domain)
{
	Relation catalog = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData key;
	ScanKeyInit(&key, Anum_pg_constraint_contypid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(domain));
	SysScanDesc scan = systable_beginscan(catalog, ConstraintTypidIndexId, true, nullptr, 1, &key);
	bool found = false;
	HeapTuple tuple;
	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
		found = reinterpret_cast<Form_pg_constraint>(GETSTRUCT(tuple))->contype == CONSTRAINT_CHECK;
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return found;
}

int count_columns(Oid relation)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	if (!HeapTupleIsValid(tuple))
		return 0;
	int columns = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relnatts;
	ReleaseSysCache(tuple);
	return columns;
}

bool is_named_in(const List *names, const char *name)
{
	ListCell *cell;
	foreach (cell, names) {
		if (strcmp(static_cast<const char *>(lfirst(cell)), name) == 0)
			return true;
	}
	return false;
}

} // namespace

bool calls_user_code(Node *expression) { return find_user_code(expression, nullptr); }

Node *plan_built_in(Node *expression, bool *is_planned)
{
	Node *result = nullptr;
	if (!calls_user_code(expression))
		result = planned(expression);
	else if (!find_unwatched(expression, nullptr))
		result = plan_without_calls(expression);
	if (is_planned)
		*is_planned = result != nullptr;
	return result ? result : expression;
}

bool is_volatile(Node *expression) { return contain_volatile_functions(plan_built_in(expression)); }

bool domain_has_constraints(Oid type)
{
	for (;;) {
		HeapTuple tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
		if (!HeapTupleIsValid(tuple))
			return false;
		FormData_pg_type form = *reinterpret_cast<Form_pg_type>(GETSTRUCT(tuple));
		ReleaseSysCache(tuple);
		if (form.typtype != TYPTYPE_DOMAIN)
			return false;
		if (form.typnotnull || has_check(type))
			return true;
		type = form.typbasetype;
	}
}

bool reading_checks_domain(Oid type)
{
	check_stack_depth();
	type = getBaseType(type);
	if (type < FirstNormalObjectId)
		return false;
	Oid element = get_element_type(type);
	if (!OidIsValid(element))
		element = get_range_subtype(type);
	if (OidIsValid(element))
		return domain_has_constraints(element) || reading_checks_domain(element);
	Oid relation = get_typ_typrelid(type);
	for (AttrNumber i = 1; OidIsValid(relation) && i <= count_columns(relation); i++) {
		Oid of_field = get_atttype(relation, i);
		if (OidIsValid(of_field) &&
			(domain_has_constraints(of_field) || reading_checks_domain(of_field)))
			return true;
	}
	return false;
}

static bool find_such_cast(Node *node, void *context)
{
	if (node == nullptr)
		return false;
	if (IsA(node, TypeCast)) {
		Oid type;
		int32 typmod;
		typenameTypeIdAndMod(nullptr, reinterpret_cast<TypeCast *>(node)->typeName, &type, &typmod);
		if (reading_checks_domain(type))
			return true;
	}
	return pg::walk_raw(node, find_such_cast, context);
}

bool casts_to_such(Node *raw) { return find_such_cast(raw, nullptr); }

bool implied_by_checks(Relation rel, List *tests, const List *dropped)
{
	const TupleConstr *constraints = RelationGetDescr(rel)->constr;
	List *known = NIL;
	for (int i = 0; constraints != nullptr && i < constraints->num_check; i++) {
		const ConstrCheck *check = &constraints->check[i];
		if (!check->ccvalid || is_named_in(dropped, check->ccname))
			continue;
		auto *condition = static_cast<Node *>(stringToNode(check->ccbin));
		if (!calls_user_code(condition))
			condition = eval_const_expressions(nullptr, condition);
		condition =
			reinterpret_cast<Node *>(canonicalize_qual(reinterpret_cast<Expr *>(condition), true));
		known = list_concat(known, make_ands_implicit(reinterpret_cast<Expr *>(condition)));
	}
	return predicate_implied_by(tests, known, true);
}

bool not_null_is_proven(Relation rel, AttrNumber attnum, const List *dropped)
{
	Form_pg_attribute column = TupleDescAttr(RelationGetDescr(rel), attnum - 1);
	auto *test = makeNode(NullTest);
	test->arg = reinterpret_cast<Expr *>(
		makeVar(1, attnum, column->atttypid, column->atttypmod, column->attcollation, 0));
	test->nulltesttype = IS_NOT_NULL;
	test->argisrow = false;
	test->location = -1;
	return implied_by_checks(rel, list_make1(test), dropped);
}

} // namespace safe_migrate::statement
