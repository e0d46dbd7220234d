// See known_objects.hpp.
#include "pg/known_objects.hpp"

#include "pg/compat_analysis.hpp"
#include "pg/json.hpp"

extern "C" {
#include "access/transam.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_ts_config.h"
#include "catalog/pg_ts_dict.h"
#include "funcapi.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_type.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
}

namespace safe_migrate::pg {

namespace {

struct Known {
	Oid class_id, oid;
	int field;				 // of a composite type; 0: the object itself
	const char *field_name;	 // nullptr: not known, of a record
	const char *constant_of; // a reg* or enum constant in the text: the name of its type
	Oid constant_type;		 // 0: queued by a version that held no arrays and labels
	const char *numbers;	 // the oids of an array, as text
	const char *schema, *name;
	const char *description; // "function s.norm(integer)"
	int n_columns;			 // of a relation
	const char **columns;	 // by attnum - 1; nullptr: dropped before
};

[[noreturn]] void is_another(const char *description, bool exists)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_UNDEFINED_OBJECT),
		 errmsg("%s is no longer what it was when the job was queued", description),
		 exists
			 ? errdetail("The name stands for another object now, which the job is not to use.")
			 : errdetail("It was dropped; another object of that name is not used in its place."),
		 errhint("Run the call again that has queued it, to use what is there now.")));
	pg_unreachable();
}

// A text that refers to nothing that is held.
[[noreturn]] void is_not_held(const char *description)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_UNDEFINED_OBJECT),
		 errmsg("%s is not known to be what it was when the job was queued", description),
		 errdetail("The job was queued by an earlier version, which did not store what its texts "
				   "refer to, or they have come to refer to it only now."),
		 errhint("Run the call again that has queued it, to use what is there now.")));
	pg_unreachable();
}

[[noreturn]] void cannot_tell(const char *description, const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("%s is no longer what it was when the job was queued", description),
			 errdetail("What is called \"%s\" in the job's texts are several things, which do not "
					   "have one name any more.",
					   name),
			 errhint("Run the call again that has queued it, to use what is there now.")));
	pg_unreachable();
}

char *describe(Oid class_id, Oid oid, int column = 0)
{
	ObjectAddress address = {class_id, oid, column};
	return getObjectDescription(&address, true);
}

// Names ---------------------------------------------------------------------------------

// Where a class of objects has its names.
struct Names {
	Oid class_id;
	SysCacheIdentifier cache;
	AttrNumber schema, name;
};
constexpr Names all_names[] = {
	{RelationRelationId, RELOID, Anum_pg_class_relnamespace, Anum_pg_class_relname},
	{TypeRelationId, TYPEOID, Anum_pg_type_typnamespace, Anum_pg_type_typname},
	{ProcedureRelationId, PROCOID, Anum_pg_proc_pronamespace, Anum_pg_proc_proname},
	{OperatorRelationId, OPEROID, Anum_pg_operator_oprnamespace, Anum_pg_operator_oprname},
	{CollationRelationId, COLLOID, Anum_pg_collation_collnamespace, Anum_pg_collation_collname},
	{TSConfigRelationId, TSCONFIGOID, Anum_pg_ts_config_cfgnamespace, Anum_pg_ts_config_cfgname},
	{TSDictionaryRelationId, TSDICTOID, Anum_pg_ts_dict_dictnamespace, Anum_pg_ts_dict_dictname},
};

// Of roles, schemas and labels of enums, which are in no schema.
bool find_bare_name(Oid class_id, Oid oid, const char **name)
{
	*name = nullptr;
	if (class_id == AuthIdRelationId)
		*name = GetUserNameFromId(oid, true);
	else if (class_id == NamespaceRelationId)
		*name = get_namespace_name(oid);
	else if (class_id == EnumRelationId) {
		HeapTuple tuple = SearchSysCache1(ENUMOID, ObjectIdGetDatum(oid));
		if (HeapTupleIsValid(tuple)) {
			*name = pstrdup(NameStr(reinterpret_cast<Form_pg_enum>(GETSTRUCT(tuple))->enumlabel));
			ReleaseSysCache(tuple);
		}
	}
	return *name != nullptr;
}

// False where the object does not exist.
bool find_names(Oid class_id, Oid oid, const char **schema, const char **name)
{
	for (const Names &names : all_names) {
		if (names.class_id != class_id)
			continue;
		HeapTuple tuple = SearchSysCache1(names.cache, ObjectIdGetDatum(oid));
		if (!HeapTupleIsValid(tuple))
			return false;
		bool is_null;
		Datum value = SysCacheGetAttr(names.cache, tuple, names.schema, &is_null);
		*schema = get_namespace_name(DatumGetObjectId(value));
		value = SysCacheGetAttr(names.cache, tuple, names.name, &is_null);
		*name = pstrdup(NameStr(*DatumGetName(value)));
		ReleaseSysCache(tuple);
		return *schema != nullptr;
	}
	*schema = "";
	return find_bare_name(class_id, oid, name);
}

int count_columns(Oid relation)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	if (!HeapTupleIsValid(tuple))
		return 0;
	int n = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relnatts;
	ReleaseSysCache(tuple);
	return n;
}

// By attnum - 1; nullptr for dropped ones.
const char **names_of_columns(Oid relation, int *n)
{
	*n = count_columns(relation);
	auto **names = static_cast<const char **>(palloc0(sizeof(char *) * Max(*n, 1)));
	for (int i = 0; i < *n; i++) {
		HeapTuple tuple = SearchSysCacheAttNum(relation, static_cast<int16>(i + 1));
		if (!HeapTupleIsValid(tuple))
			continue; // dropped
		names[i] = pstrdup(NameStr(reinterpret_cast<Form_pg_attribute>(GETSTRUCT(tuple))->attname));
		ReleaseSysCache(tuple);
	}
	return names;
}

// The relation whose columns are the fields of a composite type, or of a domain over one.
Oid relation_of_type(Oid type) { return get_typ_typrelid(getBaseType(type)); }

// nullptr where it has been dropped.
const char *find_field(Oid type, int field)
{
	Oid relation = relation_of_type(type);
	if (!OidIsValid(relation))
		return nullptr;
	HeapTuple tuple = SearchSysCacheAttNum(relation, static_cast<int16>(field));
	if (!HeapTupleIsValid(tuple))
		return nullptr;
	const char *name =
		pstrdup(NameStr(reinterpret_cast<Form_pg_attribute>(GETSTRUCT(tuple))->attname));
	ReleaseSysCache(tuple);
	return name;
}

// The objects of an analysed tree ---------------------------------------------------------

struct Walk {
	List *known;
	bool checks;	 // that each is known; else they are collected
	List *own_types; // not looked at
	List *own_rows;	 // the row types among them, whose fields are not either
};

const Known *find(const List *known, Oid class_id, Oid oid, int field)
{
	ListCell *cell;
	foreach (cell, known) {
		auto *one = static_cast<const Known *>(lfirst(cell));
		if (one->class_id == class_id && one->oid == oid && one->field == field)
			return one;
	}
	return nullptr;
}

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
													  : describe(class_id, oid);
	if (one->description == nullptr)
		elog(ERROR, "object %u of catalog %u vanished", oid, class_id);
	if (class_id == RelationRelationId)
		one->columns = names_of_columns(oid, &one->n_columns);
	walk->known = lappend(walk->known, one);
	return one;
}

void see(Walk *walk, Oid class_id, Oid oid, int field = 0)
{
	if (oid < FirstNormalObjectId || find(walk->known, class_id, oid, field) != nullptr)
		return;
	if (!walk->checks) {
		add(walk, class_id, oid, field);
		return;
	}
	const char *description = describe(class_id, oid);
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
	if (!is_record && find(walk->known, TypeRelationId, type, select->fieldnum) != nullptr)
		return;
	Known *one = add(walk, TypeRelationId, type, select->fieldnum);
	one->field_name = name;
	if (!is_record)
		one->description = describe(RelationRelationId, relation_of_type(type), select->fieldnum);
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

void see_constant(Walk *walk, const Const *constant)
{
	Oid element = get_element_type(constant->consttype);
	Oid class_id = class_of_constant(OidIsValid(element) ? element : constant->consttype);
	if (constant->constisnull || !OidIsValid(class_id))
		return;
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
	switch (nodeTag(node)) {
		case T_Const:
			see_type(walk, exprType(node));
			see_constant(walk, castNode(Const, node));
			break;
		case T_FuncExpr:
		case T_OpExpr:
		case T_RelabelType:
		case T_CoerceViaIO:
		case T_ArrayCoerceExpr:
		case T_ConvertRowtypeExpr:
		case T_RowExpr:
		case T_ArrayExpr:
		case T_CoerceToDomain:
			see_type(walk, exprType(node));
			break;
		case T_FieldSelect:
			see_type(walk, exprType(node));
			see_field(walk, castNode(FieldSelect, node));
			break;
		case T_RangeTblFunction:
			foreach (cell, castNode(RangeTblFunction, node)->funccoltypes)
				see_type(walk, lfirst_oid(cell));
			break;
		default:
			break;
	}
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

// Names in raw trees ------------------------------------------------------------------------

// The last two of a qualified name; false where it is not qualified, so that it is the server's.
bool split(const List *names, const char **schema, const char **name)
{
	if (list_length(names) < 2)
		return false;
	*schema = strVal(list_nth(names, list_length(names) - 2));
	*name = strVal(llast(names));
	return strcmp(*schema, "pg_catalog") != 0;
}

// Types that the analysed tree does not show, such as those of columns that a function returns.
bool see_raw(Node *node, void *context)
{
	auto *walk = static_cast<Walk *>(context);
	const char *schema, *name;
	if (node == nullptr)
		return false;
	if (IsA(node, TypeName) && split(castNode(TypeName, node)->names, &schema, &name)) {
		TypeName *bare = makeTypeNameFromNameList(castNode(TypeName, node)->names);
		see_type(walk, typenameTypeId(nullptr, bare));
	}
	if (IsA(node, RangeVar) && castNode(RangeVar, node)->schemaname != nullptr)
		see(walk, RelationRelationId,
			RangeVarGetRelid(castNode(RangeVar, node), AccessShareLock, false));
	return walk_raw_expression(node, see_raw, context);
}

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
	if (!split(names, &schema, &name))
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
	if (!split(type->names, &schema, &name))
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
	if (split(type->names, &schema, &name)) {
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

void bind_names(Node *raw, const List *known)
{
	ListCell *cell;
	const char *schema, *name;
	foreach (cell, known) {
		auto *one = static_cast<const Known *>(lfirst(cell));
		if (!find_names(one->class_id, one->oid, &schema, &name))
			is_another(one->description, false);
	}
	if (known != NIL)
		bind_node(raw, const_cast<List *>(known));
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

// Stored -------------------------------------------------------------------------------------

void append_known(StringInfo json, const List *known)
{
	if (known == NIL)
		return;
	json_key(json, "objects");
	appendStringInfoChar(json, '[');
	ListCell *cell;
	foreach (cell, known) {
		auto *one = static_cast<const Known *>(lfirst(cell));
		json_comma(json);
		appendStringInfoChar(json, '{');
		json_number(json, "class", one->class_id);
		json_number(json, "oid", one->oid);
		json_number(json, "field", one->field);
		json_text(json, "field_name", one->field_name);
		json_text(json, "constant_of", one->constant_of);
		if (OidIsValid(one->constant_type))
			json_number(json, "constant_type", one->constant_type);
		json_text(json, "numbers", one->numbers);
		json_text(json, "schema", one->schema);
		json_text(json, "name", one->name);
		json_text(json, "description", one->description);
		json_key(json, "columns");
		appendStringInfoChar(json, '[');
		for (int i = 0; i < one->n_columns; i++) {
			json_comma(json);
			if (one->columns[i] != nullptr)
				escape_json(json, one->columns[i]);
			else
				appendStringInfoString(json, "null");
		}
		appendStringInfoString(json, "]}");
	}
	appendStringInfoChar(json, ']');
}

List *read_known(JsonbContainer *array)
{
	List *known = NIL;
	for (int i = 0; i < json_size(array); i++) {
		JsonbContainer *object = json_element_container(array, i);
		auto *one = static_cast<Known *>(palloc0(sizeof(Known)));
		one->class_id = static_cast<Oid>(json_get_number(object, "class", 0));
		one->oid = static_cast<Oid>(json_get_number(object, "oid", 0));
		one->field = static_cast<int>(json_get_number(object, "field", 0));
		one->field_name = json_get_text(object, "field_name");
		one->constant_of = json_get_text(object, "constant_of");
		one->constant_type = static_cast<Oid>(json_get_number(object, "constant_type", 0));
		one->numbers = json_get_text(object, "numbers");
		one->schema = json_get_text(object, "schema");
		one->name = json_get_text(object, "name");
		one->description = json_get_text(object, "description");
		JsonbContainer *columns = json_get_container(object, "columns");
		one->n_columns = json_size(columns);
		one->columns = static_cast<const char **>(palloc0(sizeof(char *) * (one->n_columns + 1)));
		for (int c = 0; c < one->n_columns; c++)
			one->columns[c] = json_element_text(columns, c);
		if (one->schema == nullptr || one->name == nullptr || one->description == nullptr)
			elog(ERROR, "the stored objects of a job are malformed");
		known = lappend(known, one);
	}
	return known;
}

} // namespace safe_migrate::pg
