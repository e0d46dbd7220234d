// See fill_nulls.hpp.
#include "operations/backfill/fill_nulls.hpp"

extern "C" {
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_target.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
}

namespace safe_migrate::operations::backfill {

namespace {

Var *column_of(Relation root, AttrNumber attnum)
{
	Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(root), attnum - 1);
	return makeVar(1, attnum, attribute->atttypid, attribute->atttypmod, attribute->attcollation,
				   0);
}

// Takes off what an assignment adds around a value: a domain's checks and the length.
Node *without_length(ParseState *state, Node *value)
{
	if (IsA(value, CoerceToDomain) &&
		castNode(CoerceToDomain, value)->coercionformat == COERCE_IMPLICIT_CAST)
		value = reinterpret_cast<Node *>(castNode(CoerceToDomain, value)->arg);
	int32 typmod;
	if (!exprIsLengthCoercion(value, &typmod))
		return value;
	Node *argument = value;
	if (IsA(value, FuncExpr) && castNode(FuncExpr, value)->funcformat == COERCE_IMPLICIT_CAST)
		argument = static_cast<Node *>(linitial(castNode(FuncExpr, value)->args));
	else if (IsA(value, ArrayCoerceExpr) &&
			 castNode(ArrayCoerceExpr, value)->coerceformat == COERCE_IMPLICIT_CAST)
		argument = reinterpret_cast<Node *>(castNode(ArrayCoerceExpr, value)->arg);
	return coerce_to_target_type(state, argument, exprType(argument), exprType(value), -1,
								 COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST, -1);
}

// ARRAY[…] that is coerced to an array of another type: a cast around it is read as one of each
// element (transformArrayExpr), so that is what it becomes.
Node *with_cast_elements(ParseState *state, Node *value)
{
	Node *argument = nullptr;
	if (IsA(value, ArrayCoerceExpr))
		argument = reinterpret_cast<Node *>(castNode(ArrayCoerceExpr, value)->arg);
	else if (IsA(value, RelabelType))
		argument = reinterpret_cast<Node *>(castNode(RelabelType, value)->arg);
	if (argument == nullptr || !IsA(argument, ArrayExpr) ||
		castNode(ArrayExpr, argument)->multidims)
		return value;
	ArrayExpr *array = static_cast<ArrayExpr *>(copyObjectImpl(argument));
	array->array_typeid = exprType(value);
	array->element_typeid = get_element_type(array->array_typeid);
	ListCell *lc;
	foreach (lc, array->elements) {
		auto *element = static_cast<Node *>(lfirst(lc));
		lfirst(lc) = coerce_to_target_type(state, element, exprType(element), array->element_typeid,
										   -1, COERCION_ASSIGNMENT, COERCE_EXPLICIT_CAST, -1);
	}
	return reinterpret_cast<Node *>(array);
}

// A field's length, which an assignment checks: a cast would cut the value, so that it has to be
// one that is known to fit.
Node *as_cast_field(ParseState *state, Node *field)
{
	int32 typmod;
	Node *value = field;
	if (IsA(field, CoerceToDomain) &&
		castNode(CoerceToDomain, field)->coercionformat == COERCE_IMPLICIT_CAST)
		value = reinterpret_cast<Node *>(castNode(CoerceToDomain, field)->arg);
	if (!IsA(value, FuncExpr) || !exprIsLengthCoercion(value, &typmod))
		return field;
	auto *call = castNode(FuncExpr, value);
	if (call->funcformat != COERCE_IMPLICIT_CAST || list_length(call->args) != 3 ||
		DatumGetBool(lthird_node(Const, call->args)->constvalue))
		return field;
	if (!IsA(eval_const_expressions(nullptr, static_cast<Node *>(copyObjectImpl(value))), Const))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("a row with a field of type %s needs a predicate here",
							   format_type_with_typemod(exprType(value), typmod)),
						errdetail("Of several columns each is set only where it is NULL, for which "
								  "the field would be cut to its length instead of checked."),
						errhint("Say with a predicate which rows to change, or cast the field.")));
	auto *argument = static_cast<Node *>(linitial(call->args));
	return coerce_to_target_type(state, argument, exprType(argument), exprType(field),
								 value == field ? typmod : -1, COERCION_EXPLICIT,
								 COERCE_EXPLICIT_CAST, -1);
}

// What coalesce() is to hold; a row that became one of the column's type has to say so there.
Node *as_coalesce_argument(ParseState *state, Node *value)
{
	value = with_cast_elements(state, without_length(state, value));
	if (!IsA(value, RowExpr) || castNode(RowExpr, value)->row_typeid == RECORDOID)
		return value;
	auto *row = castNode(RowExpr, value);
	row->row_format = COERCE_EXPLICIT_CAST;
	ListCell *lc;
	foreach (lc, row->args)
		lfirst(lc) = as_cast_field(state, static_cast<Node *>(lfirst(lc)));
	return value;
}

// coalesce(<column>, <value>): one of several columns is set only where it is NULL itself.  The
// length is left to the assignment, since a cast within an expression would cut the value.
void fill_only_nulls(ParseState *state, Relation root, TargetEntry *entry)
{
	Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(root), entry->resno - 1);
	Oid base = getBaseType(attribute->atttypid);
	auto *column = reinterpret_cast<Node *>(column_of(root, entry->resno));
	if (base != attribute->atttypid)
		column = coerce_to_target_type(state, column, attribute->atttypid, base, -1,
									   COERCION_IMPLICIT, COERCE_IMPLICIT_CAST, -1);
	CoalesceExpr *coalesce = makeNode(CoalesceExpr);
	coalesce->coalescetype = base;
	coalesce->args =
		list_make2(column, as_coalesce_argument(state, reinterpret_cast<Node *>(entry->expr)));
	coalesce->location = -1;
	entry->expr =
		transformAssignedExpr(state, reinterpret_cast<Expr *>(coalesce), EXPR_KIND_UPDATE_SOURCE,
							  NameStr(attribute->attname), entry->resno, NIL, -1);
	assign_expr_collations(state, reinterpret_cast<Node *>(entry->expr));
}

// A composite value is tested as a whole: IS NULL would also hold for a row of NULLs.
Node *is_null(Relation root, AttrNumber attnum)
{
	NullTest *test = makeNode(NullTest);
	test->arg = reinterpret_cast<Expr *>(column_of(root, attnum));
	test->nulltesttype = IS_NULL;
	test->argisrow = false;
	test->location = -1;
	return reinterpret_cast<Node *>(test);
}

Node *any_is_null(Relation root, List *entries)
{
	List *tests = NIL;
	ListCell *lc;
	foreach (lc, entries)
		tests = lappend(tests, is_null(root, lfirst_node(TargetEntry, lc)->resno));
	return list_length(tests) == 1 ? static_cast<Node *>(linitial(tests))
								   : reinterpret_cast<Node *>(makeBoolExpr(OR_EXPR, tests, -1));
}

} // namespace

Node *fill_nulls(ParseState *state, Relation root, List *entries)
{
	ListCell *lc;
	if (list_length(entries) > 1)
		foreach (lc, entries)
			fill_only_nulls(state, root, lfirst_node(TargetEntry, lc));
	return any_is_null(root, entries);
}

} // namespace safe_migrate::operations::backfill
