// See check.hpp.
#include "operations/index/check.hpp"

#include "pg/compat_analysis.hpp"
#include "statement/folding.hpp"
#include "statement/relations.hpp"

extern "C" {
#include "access/amapi.h"
#include "access/htup_details.h"
#include "access/reloptions.h"
#include "access/relation.h"
#include "catalog/heap.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_language.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_tablespace.h"
#include "commands/defrem.h"
#include "commands/tablespace.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"
}

namespace safe_migrate::operations::index {

namespace {

constexpr char generated_virtual = 'v'; // ATTRIBUTE_GENERATED_VIRTUAL, from 18 on

// A key as ComputeIndexAttrs() finds it.
struct Key {
	AttrNumber column; // 0 = an expression
	Oid collation;
	Oid operator_class;
};

struct Method {
	const char *name;
	Oid oid;
	const IndexAmRoutine *routine;
};

bool is_partitioned(Relation relation)
{
	return relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE;
}

// ---------------------------------------------------------------- the whole

void check_number(const IndexStmt *statement)
{
	int n = list_length(statement->indexParams) + list_length(statement->indexIncludingParams);
	if (n > INDEX_MAX_KEYS)
		ereport(ERROR, (errcode(ERRCODE_TOO_MANY_COLUMNS),
						errmsg("cannot use more than %d columns in an index", INDEX_MAX_KEYS)));
}

void check_tablespace(Relation relation, const IndexStmt *statement)
{
	Oid space = statement->tableSpace ? get_tablespace_oid(statement->tableSpace, false)
									  : GetDefaultTablespace(relation->rd_rel->relpersistence,
															 is_partitioned(relation));
	if (statement->tableSpace && is_partitioned(relation) && space == MyDatabaseTableSpace)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("cannot specify default tablespace for partitioned relations")));
	if (OidIsValid(space) && space != MyDatabaseTableSpace &&
		!pg::may_create_in_tablespace(space, GetUserId()))
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLESPACE, get_tablespace_name(space));
	if (space == GLOBALTABLESPACE_OID)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("only shared relations can be placed in pg_global tablespace")));
}

Method find_method(const IndexStmt *statement)
{
	const char *name = statement->accessMethod ? statement->accessMethod : DEFAULT_INDEX_TYPE;
	if (strcmp(name, "rtree") == 0 && !OidIsValid(get_index_am_oid(name, true)))
		name = "gist";
	Oid oid = get_index_am_oid(name, false);
	return {name, oid, GetIndexAmRoutineByAmId(oid, false)};
}

[[noreturn]] void lacks(const Method &method, const char *what)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("access method \"%s\" does not support %s", method.name, what)));
	pg_unreachable();
}

void check_method(const IndexStmt *statement, const Method &method)
{
	if (statement->unique && !method.routine->amcanunique)
		lacks(method, "unique indexes");
	if (statement->indexIncludingParams != NIL && !method.routine->amcaninclude)
		lacks(method, "included columns");
	if (list_length(statement->indexParams) > 1 && !method.routine->amcanmulticol)
		lacks(method, "multicolumn indexes");
}

void check_options(const IndexStmt *statement, const Method &method)
{
	Datum options = transformRelOptions(static_cast<Datum>(0), statement->options, nullptr, nullptr,
										false, false);
	(void)index_reloptions(method.routine->amoptions, options, true);
}

// Where it can't be planned here, SQL functions are left to the server, which looks once their
// bodies are in their places.
bool is_mutable(Oid function, void *)
{
	if (func_volatile(function) == PROVOLATILE_IMMUTABLE)
		return false;
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	bool is_sql = HeapTupleIsValid(tuple) &&
				  reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple))->prolang == SQLlanguageId &&
				  function >= FirstNormalObjectId;
	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return !is_sql;
}

bool has_mutable(Node *node, void *context)
{
	if (node == nullptr)
		return false;
	return check_functions_in_node(node, is_mutable, context) || IsA(node, SQLValueFunction) ||
		   IsA(node, NextValueExpr) || pg::walk_expression(node, has_mutable, context);
}

// As CheckPredicate() and ComputeIndexAttrs().
void check_immutable(const Node *expression, const char *what)
{
	bool is_planned;
	Node *planned =
		statement::plan_built_in(static_cast<Node *>(copyObjectImpl(expression)), &is_planned);
	if (contain_mutable_functions(planned) && (is_planned || has_mutable(planned, nullptr)))
		ereport(ERROR, (errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
						errmsg("functions in index %s must be marked IMMUTABLE", what)));
}

// ---------------------------------------------------------------- columns

void check_column(Relation relation, AttrNumber column)
{
	if (column < 0)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("index creation on system columns is not supported")));
	if (column > 0 &&
		TupleDescAttr(RelationGetDescr(relation), column - 1)->attgenerated == generated_virtual)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("indexes on virtual generated columns are not supported")));
}

void check_columns_of(Relation relation, Node *expression)
{
	Bitmapset *columns = nullptr;
	pull_varattnos(expression, 1, &columns);
	int member = -1;
	while ((member = bms_next_member(columns, member)) >= 0) {
		auto column = static_cast<AttrNumber>(member + FirstLowInvalidHeapAttributeNumber);
		if (column != InvalidAttrNumber)
			check_column(relation, column);
	}
}

AttrNumber column_number(Relation relation, const char *name)
{
	AttrNumber number = get_attnum(RelationGetRelid(relation), name);
	if (number == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN), errmsg("column \"%s\" does not exist", name)));
	return number;
}

// The column that "(column)" and "(column COLLATE …)" mean as well; 0 for any other expression.
AttrNumber column_of(Node *expression)
{
	while (IsA(expression, CollateExpr))
		expression = reinterpret_cast<Node *>(reinterpret_cast<CollateExpr *>(expression)->arg);
	return IsA(expression, Var) ? castNode(Var, expression)->varattno : InvalidAttrNumber;
}

void check_included(Relation relation, const IndexElem *element)
{
	auto refuse = [](const char *what) {
		ereport(ERROR, (errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
						errmsg("including column does not support %s", what)));
	};
	if (!element->name)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("expressions are not supported in included columns")));
	AttrNumber column = column_number(relation, element->name);
	if (element->collation != NIL)
		refuse("a collation");
	if (element->opclass != NIL)
		refuse("an operator class");
	if (element->ordering != SORTBY_DEFAULT)
		refuse("ASC/DESC options");
	if (element->nulls_ordering != SORTBY_NULLS_DEFAULT)
		refuse("NULLS FIRST/LAST options");
	check_column(relation, column);
}

// ---------------------------------------------------------------- keys

void check_collation(Oid type, Oid collation)
{
	if (type_is_collatable(type) && !OidIsValid(collation))
		ereport(ERROR, (errcode(ERRCODE_INDETERMINATE_COLLATION),
						errmsg("could not determine which collation to use for index expression"),
						errhint("Use the COLLATE clause to set the collation explicitly.")));
	if (!type_is_collatable(type) && OidIsValid(collation))
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
						errmsg("collations are not supported by type %s", format_type_be(type))));
}

void check_order(const IndexElem *element, const Method &method)
{
	if (method.routine->amcanorder)
		return;
	if (element->ordering != SORTBY_DEFAULT)
		lacks(method, "ASC/DESC options");
	if (element->nulls_ordering != SORTBY_NULLS_DEFAULT)
		lacks(method, "NULLS FIRST/LAST options");
}

// As index_opclass_options(), which asks an index that is there.
void check_class_options(const IndexElem *element, Oid operator_class, const Method &method)
{
	if (element->opclassopts == NIL)
		return;
	Datum options = transformRelOptions(static_cast<Datum>(0), element->opclassopts, nullptr,
										nullptr, false, false);
	Oid family = InvalidOid, type = InvalidOid, reader = InvalidOid;
	if (method.routine->amoptsprocnum != 0 &&
		get_opclass_opfamily_and_input_type(operator_class, &family, &type))
		reader = get_opfamily_proc(family, type, type,
								   static_cast<int16>(method.routine->amoptsprocnum));
	if (!OidIsValid(reader))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("operator class %s has no options",
							   generate_opclass_name(operator_class))));
	local_relopts known;
	init_local_reloptions(&known, 0);
	(void)OidFunctionCall1(reader, PointerGetDatum(&known));
	(void)build_local_reloptions(&known, options, true);
}

Key check_key(Relation relation, const IndexElem *element, const Method &method)
{
	Key key = {};
	Oid type;
	if (element->name) {
		key.column = column_number(relation, element->name);
		int32 typmod;
		get_atttypetypmodcoll(RelationGetRelid(relation), key.column, &type, &typmod,
							  &key.collation);
	} else {
		type = exprType(element->expr);
		key.collation = exprCollation(element->expr);
		key.column = column_of(element->expr);
		if (key.column == 0)
			check_immutable(element->expr, "expression");
	}
	if (element->collation != NIL)
		key.collation = get_collation_oid(element->collation, false);
	check_collation(type, key.collation);
	key.operator_class = ResolveOpClass(element->opclass, type, method.name, method.oid);
	check_order(element, method);
	check_column(relation, key.column);
	if (key.column == 0) {
		check_columns_of(relation, element->expr);
		CheckAttributeType(element->indexcolname ? element->indexcolname : "expr", type,
						   key.collation, NIL, 0);
	}
	check_class_options(element, key.operator_class, method);
	return key;
}

// ---------------------------------------------------------------- unique, of partitions

bool has_equality(const Key &key, Oid equality)
{
	Oid family, type;
	return get_opclass_opfamily_and_input_type(key.operator_class, &family, &type) &&
		   get_opfamily_member(family, type, type, BTEqualStrategyNumber) == equality;
}

// Rows with equal keys have to be in one partition.  Column numbers are those of the root.
void check_partition_key(Relation root, Relation relation, const Key *keys, int n)
{
	PartitionKey partition = RelationGetPartitionKey(relation);
	for (int i = 0; i < partition->partnatts; i++) {
		if (partition->partattrs[i] == 0)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("unsupported %s constraint with partition key definition", "UNIQUE"),
					 errdetail("%s constraints cannot be used when partition keys include "
							   "expressions.",
							   "UNIQUE")));
		bool hash = partition->strategy == PARTITION_STRATEGY_HASH;
		Oid equality = get_opfamily_member(partition->partopfamily[i], partition->partopcintype[i],
										   partition->partopcintype[i],
										   hash ? HTEqualStrategyNumber : BTEqualStrategyNumber);
		const char *name = get_attname(RelationGetRelid(relation), partition->partattrs[i], false);
		AttrNumber column = get_attnum(RelationGetRelid(root), name);
		bool found = false;
		for (int k = 0; k < n; k++)
			found = found ||
					(keys[k].column == column && keys[k].collation == partition->partcollation[i] &&
					 has_equality(keys[k], equality));
		if (!found)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("unique constraint on partitioned table must include all partitioning "
							"columns"),
					 errdetail("%s constraint on table \"%s\" lacks column \"%s\" which is part of "
							   "the partition key.",
							   "UNIQUE", RelationGetRelationName(relation), name)));
	}
}

// As ProcessUtilitySlow() and, for each level, DefineIndex().
void check_unique_of_partitions(Relation root, const Key *keys, int n)
{
	ListCell *cell;
	foreach (cell, statement::with_descendants(RelationGetRelid(root))) {
		Relation relation = try_relation_open(lfirst_oid(cell), AccessShareLock);
		if (!relation)
			continue;
		if (relation->rd_rel->relkind == RELKIND_FOREIGN_TABLE)
			ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
							errmsg("cannot create unique index on partitioned table \"%s\"",
								   RelationGetRelationName(root)),
							errdetail("Table \"%s\" contains partitions that are foreign tables.",
									  RelationGetRelationName(root))));
		if (is_partitioned(relation))
			check_partition_key(root, relation, keys, n);
		relation_close(relation, AccessShareLock);
	}
}

} // namespace

void check_index(Relation relation, const IndexStmt *statement)
{
	check_number(statement);
	check_tablespace(relation, statement);
	Method method = find_method(statement);
	check_method(statement, method);
	if (statement->whereClause)
		check_immutable(statement->whereClause, "predicate");
	check_options(statement, method);
	int n = 0;
	auto *keys = static_cast<Key *>(palloc0(sizeof(Key) * INDEX_MAX_KEYS));
	ListCell *cell;
	foreach (cell, statement->indexParams)
		keys[n++] = check_key(relation, lfirst_node(IndexElem, cell), method);
	foreach (cell, statement->indexIncludingParams)
		check_included(relation, lfirst_node(IndexElem, cell));
	if (statement->whereClause)
		check_columns_of(relation, statement->whereClause);
	if (statement->unique && is_partitioned(relation))
		check_unique_of_partitions(relation, keys, n);
}

void check_index_of_new_column(Relation relation, Oid type, List *options, char *tablespace)
{
	IndexStmt *statement = makeNode(IndexStmt);
	statement->options = options;
	statement->tableSpace = tablespace;
	check_tablespace(relation, statement);
	Method method = find_method(statement);
	check_options(statement, method);
	Key key = {};
	key.column = MaxAttrNumber; // no other has it
	key.operator_class = ResolveOpClass(NIL, type, method.name, method.oid);
	if (is_partitioned(relation))
		check_unique_of_partitions(relation, &key, 1);
}

} // namespace safe_migrate::operations::index
