// See known_objects.hpp: names in raw trees become those that the known objects have now.
#include "pg/known_object.hpp"

#include "pg/compat_analysis.hpp"

extern "C" {
#include "catalog/pg_collation.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

namespace safe_migrate::pg {

namespace {

bool is_named(const Known *one, Oid class_id, const char *schema, const char *name)
{
	return one->class_id == class_id && one->field == 0 && one->constant_of == nullptr &&
		   strcmp(one->schema, schema) == 0 && strcmp(one->name, name) == 0;
}

const Known *find_named(const List *known, Oid class_id, const char *schema, const char *name)
{
	ListCell *cell;
	foreach (cell, known) {
		auto *one = static_cast<const Known *>(lfirst(cell));
		if (is_named(one, class_id, schema, name))
			return one;
	}
	return nullptr;
}

// Can a call with so many arguments, or an operator between so many, stand for it?
bool may_take(Oid class_id, Oid oid, int n_arguments)
{
	bool may = true;
	if (class_id == OperatorRelationId) {
		Oid left, right;
		op_input_types(oid, &left, &right);
		may = OidIsValid(left) == (n_arguments == 2);
	} else if (class_id == ProcedureRelationId) {
		HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(oid));
		if (!HeapTupleIsValid(tuple))
			return true;
		auto *form = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple));
		may = OidIsValid(form->provariadic) ||
			  (n_arguments <= form->pronargs &&
			   n_arguments >= form->pronargs - form->pronargdefaults);
		ReleaseSysCache(tuple);
	}
	return may;
}

// A qualified name of that class as it is now; where several have it, the one that all have now.
void bind_list(List *names, Oid class_id, int n_arguments, const List *known)
{
	const char *schema, *name, *schema_now = nullptr, *name_now = nullptr;
	if (!split_name(names, &schema, &name))
		return;
	ListCell *cell;
	foreach (cell, known) {
		auto *one = static_cast<const Known *>(lfirst(cell));
		const char *its_schema, *its_name;
		if (!is_named(one, class_id, schema, name))
			continue;
		if (!find_names(class_id, one->oid, &its_schema, &its_name))
			is_another(one->description, false);
		if (!may_take(class_id, one->oid, n_arguments))
			continue;
		if (name_now != nullptr &&
			(strcmp(its_schema, schema_now) != 0 || strcmp(its_name, name_now) != 0))
			cannot_tell(one->description, name);
		schema_now = its_schema;
		name_now = its_name;
	}
	if (name_now == nullptr)
		return;
	list_nth_cell(names, list_length(names) - 2)->ptr_value = makeString(pstrdup(schema_now));
	llast(names) = makeString(pstrdup(name_now));
}

void bind_call(const FuncCall *call, const List *known)
{
	int n = list_length(call->args);
	if (call->agg_within_group)
		n += list_length(call->agg_order);
	bind_list(call->funcname, ProcedureRelationId, n, known);
}

// The name that a field has now; where several have that name, the one that all have now.
const char *bind_field(const char *name, const List *known)
{
	const char *now = nullptr;
	const Known *renamed = nullptr, *unknown = nullptr;
	ListCell *cell;
	foreach (cell, known) {
		auto *one = static_cast<const Known *>(lfirst(cell));
		if (one->field == 0 || (one->field_name != nullptr && strcmp(one->field_name, name) != 0))
			continue;
		if (one->field_name == nullptr) {
			unknown = one;
			continue;
		}
		const char *its = one->oid == RECORDOID ? name : find_field(one->oid, one->field);
		if (its == nullptr)
			is_another(one->description, false);
		if (strcmp(its, name) != 0)
			renamed = one;
		if (renamed != nullptr && now != nullptr && strcmp(now, its) != 0)
			cannot_tell(renamed->description, name);
		now = its;
	}
	if (renamed != nullptr && unknown != nullptr)
		cannot_tell(renamed->description, name);
	return now;
}

void bind_fields(const A_Indirection *indirection, const List *known)
{
	ListCell *cell;
	foreach (cell, indirection->indirection) {
		if (!IsA(lfirst(cell), String))
			continue;
		const char *now = bind_field(strVal(lfirst(cell)), known);
		if (now != nullptr)
			lfirst(cell) = makeString(pstrdup(now));
	}
}

void bind_type(TypeName *type, const List *known)
{
	const char *schema, *name;
	if (!split_name(type->names, &schema, &name))
		return;
	const Known *one = find_named(known, TypeRelationId, schema, name);
	if (one == nullptr)
		return;
	type->typeOid = type->arrayBounds == NIL ? one->oid : get_array_type(one->oid);
	type->names = NIL;
}

// The columns under the names that the text has for them; its own aliases go by position.
List *bind_columns(const Known &relation, const List *aliases)
{
	List *names = NIL;
	int n, alias = 0;
	const char **now = names_of_columns(relation.oid, &n);
	for (int i = 0; i < n; i++) {
		const char *queued = i < relation.n_columns ? relation.columns[i] : nullptr;
		if (queued != nullptr && alias < list_length(aliases))
			queued = strVal(list_nth(aliases, alias++));
		if (now[i] == nullptr)
			continue;
		if (queued == nullptr)
			queued = psprintf("(column %d came later)", i + 1);
		names = lappend(names, makeString(pstrdup(queued)));
	}
	return names;
}

void bind_relation(RangeVar *range, const List *known)
{
	if (range->schemaname == nullptr)
		return;
	const Known *one = find_named(known, RelationRelationId, range->schemaname, range->relname);
	if (one == nullptr)
		return;
	const char *schema, *name;
	LockRelationOid(one->oid, AccessShareLock); // from here on it keeps its names
	if (!find_names(RelationRelationId, one->oid, &schema, &name))
		is_another(one->description, false);
	const Alias *alias = range->alias;
	range->alias = makeAlias(alias != nullptr ? alias->aliasname : range->relname,
							 bind_columns(*one, alias != nullptr ? alias->colnames : NIL));
	range->schemaname = pstrdup(schema);
	range->relname = pstrdup(name);
}

// The type that a text names, as it was when the text was stored.
Oid queued_type(const TypeName *type, const List *known)
{
	const char *schema, *name;
	Oid oid = InvalidOid;
	if (split_name(type->names, &schema, &name)) {
		const Known *one = find_named(known, TypeRelationId, schema, name);
		oid = one != nullptr ? one->oid : InvalidOid;
	} else if (type->names != NIL)
		oid = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid,
							  CStringGetDatum(strVal(llast(type->names))),
							  ObjectIdGetDatum(PG_CATALOG_NAMESPACE));
	return OidIsValid(oid) && type->arrayBounds != NIL ? get_array_type(oid) : oid;
}

// The constant as it is to be read now: a number, or labels.
char *constant_now(const Known *one)
{
	if (one->class_id != EnumRelationId)
		return one->numbers != nullptr ? pstrdup(one->numbers) : psprintf("%u", one->oid);
	if (one->numbers == nullptr)
		return OidOutputFunctionCall(F_ENUM_OUT, ObjectIdGetDatum(one->oid));
	Datum numbers = OidInputFunctionCall(F_ARRAY_IN, pstrdup(one->numbers), OIDOID, -1);
	ArrayType *array = DatumGetArrayTypePCopy(numbers);
	ARR_ELEMTYPE(array) = get_element_type(one->constant_type);
	return OidOutputFunctionCall(F_ARRAY_OUT, PointerGetDatum(array));
}

// 's.look'::regclass: the number that it stood for.
void bind_constant(const TypeCast *cast, const List *known)
{
	if (!IsA(cast->arg, A_Const) || cast->typeName->names == NIL)
		return;
	auto *constant = castNode(A_Const, cast->arg);
	if (constant->isnull || nodeTag(&constant->val) != T_String)
		return;
	Oid type = queued_type(cast->typeName, known);
	ListCell *cell;
	foreach (cell, known) {
		auto *one = static_cast<const Known *>(lfirst(cell));
		if (one->constant_of == nullptr || strcmp(one->name, constant->val.sval.sval) != 0)
			continue;
		bool is_it = OidIsValid(one->constant_type)
						 ? one->constant_type == type
						 : strcmp(one->constant_of, strVal(llast(cast->typeName->names))) == 0;
		if (!is_it)
			continue;
		constant->val.sval.sval = constant_now(one);
		return;
	}
}

bool bind_node(Node *node, void *known_list)
{
	auto *known = static_cast<const List *>(known_list);
	if (node == nullptr)
		return false;
	switch (nodeTag(node)) {
		case T_RangeVar:
			bind_relation(castNode(RangeVar, node), known);
			break;
		case T_TypeCast:
			bind_constant(castNode(TypeCast, node), known);
			break;
		case T_TypeName:
			bind_type(castNode(TypeName, node), known);
			break;
		case T_A_Indirection:
			bind_fields(castNode(A_Indirection, node), known);
			break;
		case T_FuncCall:
			bind_call(castNode(FuncCall, node), known);
			break;
		case T_A_Expr:
			bind_list(castNode(A_Expr, node)->name, OperatorRelationId,
					  castNode(A_Expr, node)->lexpr != nullptr ? 2 : 1, known);
			break;
		case T_SubLink:
			bind_list(castNode(SubLink, node)->operName, OperatorRelationId, 2, known);
			break;
		case T_SortBy:
			bind_list(castNode(SortBy, node)->useOp, OperatorRelationId, 2, known);
			break;
		case T_CollateClause:
			bind_list(castNode(CollateClause, node)->collname, CollationRelationId, 0, known);
			break;
		default:
			break;
	}
	return walk_raw_expression(node, bind_node, known_list);
}

} // namespace

void bind_names(Node *raw, const List *known)
{
	ListCell *cell;
	const char *schema, *name;
	foreach (cell, known) {
		auto *one = static_cast<const Known *>(lfirst(cell));
		if (!find_names(one->class_id, one->oid, &schema, &name))
			is_another(one->description, false);
		if (one->is_inside && (strcmp(schema, one->schema) != 0 || strcmp(name, one->name) != 0))
			was_renamed(one->description, one->name);
	}
	if (known != NIL)
		bind_node(raw, const_cast<List *>(known));
}

} // namespace safe_migrate::pg
