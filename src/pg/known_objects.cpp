// See known_objects.hpp: what a tree refers to, collected or checked.
#include "pg/known_object.hpp"

#include "pg/compat_analysis.hpp"
#include "pg/node_type.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_ts_config.h"
#include "catalog/pg_ts_dict.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/multirangetypes.h"
#include "utils/rangetypes.h"
#include "utils/typcache.h"
}

namespace safe_migrate::pg {

namespace {

struct Walk {
	List *known;
	bool checks;	 // that each is known; else they are collected
	List *own_types; // not looked at
	List *own_rows;	 // the row types among them, whose fields are not either
};

bool has_labels(const List *known)
{
	ListCell *cell;
	foreach (cell, known)
		if (static_cast<const Known *>(lfirst(cell))->class_id == EnumRelationId)
			return true;
	return false;
}

Known *add(Walk *walk, Oid class_id, Oid oid, int field)
{
	auto *one = static_cast<Known *>(palloc0(sizeof(Known)));
	one->class_id = class_id;
	one->oid = oid;
	one->field = field;
	bool exists = find_names(class_id, oid, &one->schema, &one->name);
	if (exists)
		one->description = class_id == EnumRelationId ? psprintf("enum label \"%s\"", one->name)
													  : describe_object(class_id, oid);
	if (one->description == nullptr)
		elog(ERROR, "object %u of catalog %u vanished", oid, class_id);
	if (class_id == RelationRelationId)
		one->columns = names_of_columns(oid, &one->n_columns);
	walk->known = lappend(walk->known, one);
	return one;
}

void see(Walk *walk, Oid class_id, Oid oid, int field = 0)
{
	if (oid < FirstNormalObjectId || find_known(walk->known, class_id, oid, field) != nullptr)
		return;
	if (!walk->checks) {
		add(walk, class_id, oid, field);
		return;
	}
	const char *description = describe_object(class_id, oid);
	if (description == nullptr)
		description = "an object";
	if (walk->known == NIL)
		is_not_held(description);
	is_another(description, true);
}

void see_type(Walk *walk, Oid type)
{
	Oid element = get_element_type(type);
	if (OidIsValid(element))
		type = element;
	if (!list_member_oid(walk->own_types, type))
		see(walk, TypeRelationId, type);
}

const char *name_in_record(Node *record, int field)
{
	TupleDesc desc = get_expr_result_tupdesc(record, true);
	if (desc == nullptr || field > desc->natts)
		return nullptr;
	return pstrdup(NameStr(TupleDescAttr(desc, field - 1)->attname));
}

// Fields are bound by name, so that those whose names can't change are of interest, too.
void see_field(Walk *walk, const FieldSelect *select)
{
	auto *row = reinterpret_cast<Node *>(select->arg);
	Oid type = exprType(row);
	if (walk->checks) {
		if (!list_member_oid(walk->own_rows, type))
			see(walk, TypeRelationId, type, select->fieldnum);
		return;
	}
	const char *name = find_field(type, select->fieldnum);
	bool is_record = name == nullptr;
	if (is_record)
		name = name_in_record(row, select->fieldnum);
	if (!is_record && find_known(walk->known, TypeRelationId, type, select->fieldnum) != nullptr)
		return;
	Known *one = add(walk, TypeRelationId, type, select->fieldnum);
	one->field_name = name;
	if (!is_record)
		one->description =
			describe_object(RelationRelationId, relation_of_type(type), select->fieldnum);
}

bool see_function(Oid function, void *walk)
{
	see(static_cast<Walk *>(walk), ProcedureRelationId, function);
	return false;
}

// The catalog that a constant of a reg* or enum type points to.
Oid class_of_constant(Oid type)
{
	switch (type) {
		case REGCLASSOID:
			return RelationRelationId;
		case REGTYPEOID:
			return TypeRelationId;
		case REGPROCOID:
		case REGPROCEDUREOID:
			return ProcedureRelationId;
		case REGOPEROID:
		case REGOPERATOROID:
			return OperatorRelationId;
		case REGCOLLATIONOID:
			return CollationRelationId;
		case REGCONFIGOID:
			return TSConfigRelationId;
		case REGDICTIONARYOID:
			return TSDictionaryRelationId;
		case REGROLEOID:
			return AuthIdRelationId;
		case REGNAMESPACEOID:
			return NamespaceRelationId;
		default:
			return type_is_enum(type) ? EnumRelationId : InvalidOid;
	}
}

// One that the text may have under another name later.  The server's own are seen where they can be
// renamed.
bool see_number(Walk *walk, Oid class_id, Oid oid)
{
	const char *schema, *name;
	bool is_bare = class_id == AuthIdRelationId || class_id == NamespaceRelationId;
	if ((oid < FirstNormalObjectId && !is_bare) || !find_names(class_id, oid, &schema, &name))
		return false; // one that names nothing is a mere number
	if (class_id != EnumRelationId || !walk->checks || has_labels(walk->known))
		see(walk, class_id, oid);
	return true;
}

// The array that it is as one of numbers; nullptr where there is none that a name stands for.
ArrayType *see_numbers(Walk *walk, Oid class_id, const Const *constant, Oid *first)
{
	ArrayType *array = DatumGetArrayTypePCopy(constant->constvalue);
	Datum *elements;
	bool *nulls;
	int n;
	*first = InvalidOid;
	ARR_ELEMTYPE(array) = OIDOID;
	deconstruct_array(array, OIDOID, sizeof(Oid), true, TYPALIGN_INT, &elements, &nulls, &n);
	for (int i = 0; i < n; i++)
		if (!nulls[i] && see_number(walk, class_id, DatumGetObjectId(elements[i])))
			*first = DatumGetObjectId(elements[i]);
	return OidIsValid(*first) ? array : nullptr;
}

// ---- of a row, range or domain: what its text says by name stays in it

void see_inside(Walk *walk, Oid type, Datum value);

void see_elements(Walk *walk, Oid element, Datum value)
{
	ArrayType *array = DatumGetArrayTypeP(value);
	Datum *elements;
	bool *nulls;
	int n;
	int16 length;
	bool by_value;
	char alignment;
	get_typlenbyvalalign(element, &length, &by_value, &alignment);
	deconstruct_array(array, element, length, by_value, alignment, &elements, &nulls, &n);
	for (int i = 0; i < n; i++)
		if (!nulls[i])
			see_inside(walk, element, elements[i]);
}

void see_row(Walk *walk, Datum value)
{
	HeapTupleHeader row = DatumGetHeapTupleHeader(value);
	TupleDesc desc =
		lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(row), HeapTupleHeaderGetTypMod(row));
	HeapTupleData tuple = {};
	tuple.t_len = HeapTupleHeaderGetDatumLength(row);
	tuple.t_data = row;
	auto *values = static_cast<Datum *>(palloc(sizeof(Datum) * (desc->natts + 1)));
	bool *nulls = static_cast<bool *>(palloc(sizeof(bool) * (desc->natts + 1)));
	heap_deform_tuple(&tuple, desc, values, nulls);
	for (int i = 0; i < desc->natts; i++)
		if (!nulls[i] && !TupleDescAttr(desc, i)->attisdropped)
			see_inside(walk, TupleDescAttr(desc, i)->atttypid, values[i]);
	ReleaseTupleDesc(desc);
}

void see_bounds(Walk *walk, TypeCacheEntry *type, const RangeType *range)
{
	RangeBound lower, upper;
	bool empty;
	range_deserialize(type, range, &lower, &upper, &empty);
	for (const RangeBound *bound : {&lower, &upper})
		if (!empty && !bound->infinite)
			see_inside(walk, type->rngelemtype->type_id, bound->val);
}

void see_ranges(Walk *walk, Oid type, Datum value)
{
	TypeCacheEntry *entry = lookup_type_cache(type, TYPECACHE_MULTIRANGE_INFO);
	RangeType **ranges;
	int32 n;
	multirange_deserialize(entry->rngtype, DatumGetMultirangeTypeP(value), &n, &ranges);
	for (int i = 0; i < n; i++)
		see_bounds(walk, entry->rngtype, ranges[i]);
}

void see_name_inside(Walk *walk, Oid class_id, Oid oid)
{
	if (!see_number(walk, class_id, oid) || walk->checks)
		return;
	auto *one = const_cast<Known *>(find_known(walk->known, class_id, oid, 0));
	if (one != nullptr)
		one->is_inside = true;
}

void see_inside(Walk *walk, Oid type, Datum value)
{
	check_stack_depth();
	type = getBaseType(type);
	Oid element = get_element_type(type);
	Oid class_id = class_of_constant(type);
	if (OidIsValid(class_id))
		return see_name_inside(walk, class_id, DatumGetObjectId(value));
	if (OidIsValid(element))
		return see_elements(walk, element, value);
	switch (get_typtype(type)) {
		case TYPTYPE_COMPOSITE:
			return see_row(walk, value);
		case TYPTYPE_RANGE:
			return see_bounds(walk, lookup_type_cache(type, TYPECACHE_RANGE_INFO),
							  DatumGetRangeTypeP(value));
		case TYPTYPE_MULTIRANGE:
			return see_ranges(walk, type, value);
		default:
			return;
	}
}

void see_constant(Walk *walk, const Const *constant)
{
	Oid element = get_element_type(constant->consttype);
	Oid class_id = class_of_constant(OidIsValid(element) ? element : constant->consttype);
	if (constant->constisnull)
		return;
	if (!OidIsValid(class_id))
		return see_inside(walk, constant->consttype, constant->constvalue);
	Oid oid, output;
	ArrayType *array = nullptr;
	if (OidIsValid(element))
		array = see_numbers(walk, class_id, constant, &oid);
	else
		oid = DatumGetObjectId(constant->constvalue);
	if (array == nullptr && (OidIsValid(element) || !see_number(walk, class_id, oid)))
		return;
	if (walk->checks)
		return;
	bool is_varlena;
	getTypeOutputInfo(constant->consttype, &output, &is_varlena);
	Known *literal = add(walk, class_id, oid, 0);
	literal->constant_of = format_type_be(constant->consttype);
	literal->constant_type = constant->consttype;
	literal->name = OidOutputFunctionCall(output, constant->constvalue);
	if (array != nullptr)
		literal->numbers = OidOutputFunctionCall(F_ARRAY_OUT, PointerGetDatum(array));
}

void see_list(Walk *walk, Oid class_id, const List *oids)
{
	ListCell *cell;
	foreach (cell, oids)
		see(walk, class_id, lfirst_oid(cell));
}

void see_operators(Walk *walk, Node *node)
{
	switch (nodeTag(node)) {
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
			see(walk, OperatorRelationId, reinterpret_cast<OpExpr *>(node)->opno);
			break;
		case T_ScalarArrayOpExpr:
			see(walk, OperatorRelationId, castNode(ScalarArrayOpExpr, node)->opno);
			break;
		case T_RowCompareExpr:
			see_list(walk, OperatorRelationId, castNode(RowCompareExpr, node)->opnos);
			break;
		case T_SortGroupClause:
			see(walk, OperatorRelationId, castNode(SortGroupClause, node)->eqop);
			see(walk, OperatorRelationId, castNode(SortGroupClause, node)->sortop);
			break;
		default:
			break;
	}
}

void see_types(Walk *walk, Node *node)
{
	ListCell *cell;
	if (has_own_type(node))
		see_type(walk, exprType(node));
	if (IsA(node, Const))
		see_constant(walk, castNode(Const, node));
	else if (IsA(node, FieldSelect))
		see_field(walk, castNode(FieldSelect, node));
	else if (IsA(node, RangeTblFunction))
		foreach (cell, castNode(RangeTblFunction, node)->funccoltypes)
			see_type(walk, lfirst_oid(cell));
}

bool see_node(Node *node, void *context)
{
	auto *walk = static_cast<Walk *>(context);
	if (node == nullptr)
		return false;
	if (IsA(node, RangeTblEntry)) { // its parts are walked by themselves
		if (castNode(RangeTblEntry, node)->rtekind == RTE_RELATION)
			see(walk, RelationRelationId, castNode(RangeTblEntry, node)->relid);
		return false;
	}
	if (IsA(node, Query))
		return walk_query(castNode(Query, node), see_node, context,
						  QTW_EXAMINE_RTES_BEFORE | QTW_EXAMINE_SORTGROUP);
	if (IsA(node, CollateExpr))
		see(walk, CollationRelationId, castNode(CollateExpr, node)->collOid);
	if (IsA(node, TableSampleClause))
		see(walk, ProcedureRelationId, castNode(TableSampleClause, node)->tsmhandler);
	see_operators(walk, node);
	see_types(walk, node);
	(void)check_functions_in_node(node, see_function, context);
	return walk_expression(node, see_node, context);
}

// Types that the analysed tree does not show, such as those of columns that a function returns.
bool see_raw(Node *node, void *context)
{
	auto *walk = static_cast<Walk *>(context);
	const char *schema, *name;
	if (node == nullptr)
		return false;
	if (IsA(node, TypeName) && split_name(castNode(TypeName, node)->names, &schema, &name)) {
		TypeName *bare = makeTypeNameFromNameList(castNode(TypeName, node)->names);
		see_type(walk, typenameTypeId(nullptr, bare));
	}
	if (IsA(node, RangeVar) && castNode(RangeVar, node)->schemaname != nullptr)
		see(walk, RelationRelationId,
			RangeVarGetRelid(castNode(RangeVar, node), AccessShareLock, false));
	return walk_raw_expression(node, see_raw, context);
}

List *own_types_of(Oid target)
{
	List *types = list_make1_oid(get_rel_type_id(target));
	const int n = count_columns(target);
	for (int i = 1; i <= n; i++) {
		Oid type = get_atttype(target, static_cast<AttrNumber>(i));
		Oid element = get_element_type(type);
		types = lappend_oid(types, OidIsValid(element) ? element : type);
	}
	return types;
}

} // namespace

List *known_objects(Node *tree, const List *raw)
{
	Walk walk = {NIL, false, NIL, NIL};
	see_node(tree, &walk);
	ListCell *cell;
	foreach (cell, raw)
		see_raw(static_cast<Node *>(lfirst(cell)), &walk);
	return walk.known;
}

void check_known(Node *tree, const List *known, std::initializer_list<Oid> targets)
{
	Walk walk = {const_cast<List *>(known), true, NIL, NIL};
	for (Oid target : targets) {
		walk.own_types = list_concat(walk.own_types, own_types_of(target));
		walk.own_rows = lappend_oid(walk.own_rows, get_rel_type_id(target));
	}
	see_node(tree, &walk);
}

} // namespace safe_migrate::pg
