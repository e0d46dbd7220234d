// See index_match.hpp.  Follows DefineIndex(), ComputeIndexAttrs() and
// AttachPartitionEnsureIndexes().
#include "statement/index_match.hpp"

#include "pg/compat_analysis.hpp"
#include "statement/folding.hpp"
#include "statement/relations.hpp"

extern "C" {
#include "access/attmap.h"
#include "access/genam.h"
#include "access/htup_details.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_constraint.h"
#include "commands/defrem.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/prep.h"
#include "parser/parse_utilcmd.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

namespace safe_migrate::statement {

namespace {

// What one column or expression of the index is.
struct Key {
	AttrNumber attnum; // 0 = expression
	Node *expression;
	Oid type;
	Oid collation;
};

Key key_of_column(Relation table, const char *name)
{
	Key key = {};
	key.attnum = get_attnum(RelationGetRelid(table), name);
	if (key.attnum <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN), errmsg("column \"%s\" does not exist", name)));
	Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(table), key.attnum - 1);
	key.type = attribute->atttypid;
	key.collation = attribute->attcollation;
	return key;
}

// An expression that is a plain column in parentheses counts as the column.
Key key_of_expression(Node *expression)
{
	Key key = {};
	key.type = exprType(expression);
	key.collation = exprCollation(expression);
	while (IsA(expression, CollateExpr))
		expression = reinterpret_cast<Node *>(reinterpret_cast<CollateExpr *>(expression)->arg);
	auto *variable = reinterpret_cast<Var *>(expression);
	if (IsA(expression, Var) && variable->varattno != InvalidAttrNumber)
		key.attnum = variable->varattno;
	else
		key.expression = expression;
	return key;
}

struct Proposed {
	IndexInfo *info;
	Oid *collations;
	Oid *families;
	Oid method;
	const char *method_name;
};

void add_key(Proposed *proposed, Relation table, const IndexElem *element, bool is_key)
{
	Key key = element->name != nullptr ? key_of_column(table, element->name)
									   : key_of_expression(element->expr);
	int i = proposed->info->ii_NumIndexAttrs++;
	proposed->info->ii_IndexAttrNumbers[i] = key.attnum;
	if (key.expression != nullptr)
		proposed->info->ii_Expressions = lappend(proposed->info->ii_Expressions, key.expression);
	if (!is_key)
		return;
	proposed->info->ii_NumIndexKeyAttrs++;
	proposed->collations[i] =
		element->collation != NIL ? get_collation_oid(element->collation, false) : key.collation;
	proposed->families[i] = get_opclass_family(
		ResolveOpClass(element->opclass, key.type, proposed->method_name, proposed->method));
}

Node *stored_tree(HeapTuple tuple, AttrNumber column)
{
	bool is_null = false;
	Datum value = SysCacheGetAttr(INDEXRELID, tuple, column, &is_null);
	return is_null ? nullptr : static_cast<Node *>(stringToNode(TextDatumGetCString(value)));
}

// BuildIndexInfo() folds the constants in expressions and predicate.
bool may_build_info(HeapTuple tuple)
{
	return !calls_user_code(stored_tree(tuple, Anum_pg_index_indexprs)) &&
		   !calls_user_code(stored_tree(tuple, Anum_pg_index_indpred));
}

// What can be told of an index without opening it.
bool may_match(Oid index, const IndexShape &wanted, bool must_be_valid)
{
	HeapTuple tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
	if (!HeapTupleIsValid(tuple))
		return false;
	auto *form = reinterpret_cast<Form_pg_index>(GETSTRUCT(tuple));
	bool may = form->indnatts == wanted.info->ii_NumIndexAttrs &&
			   form->indnkeyatts == wanted.info->ii_NumIndexKeyAttrs &&
			   form->indisunique == wanted.info->ii_Unique &&
			   (form->indisvalid || !must_be_valid) && !get_rel_relispartition(index) &&
			   may_build_info(tuple);
	ReleaseSysCache(tuple);
	return may;
}

bool is_same_constraint(Oid table, Oid index, const IndexShape &wanted)
{
	if (!wanted.is_constraint)
		return true;
	Oid constraint = get_relation_idx_constraint_oid(table, index);
	return OidIsValid(constraint) && (!pg::compares_constraint_types ||
									  pg::constraint_type(constraint) == wanted.constraint_kind);
}

bool matches(Relation table, Oid index_oid, const IndexShape &wanted)
{
	Relation index = open_judged_index(index_oid);
	AttrMap *map = pg::attribute_map(RelationGetDescr(table), wanted.columns);
	bool found = CompareIndexInfo(BuildIndexInfo(index), wanted.info, index->rd_indcollation,
								  const_cast<Oid *>(wanted.collations), index->rd_opfamily,
								  const_cast<Oid *>(wanted.families), map) &&
				 is_same_constraint(RelationGetRelid(table), index_oid, wanted);
	close_judged(index);
	return found;
}

} // namespace

IndexShape shape_of_statement(Relation table, const IndexStmt *statement, const char *source)
{
	auto *transformed =
		transformIndexStmt(RelationGetRelid(table), copyObject(const_cast<IndexStmt *>(statement)),
						   source == nullptr ? "" : source);
	Proposed proposed = {};
	int n = list_length(transformed->indexParams) + list_length(transformed->indexIncludingParams);
	proposed.info = makeNode(IndexInfo);
	proposed.collations = static_cast<Oid *>(palloc0(sizeof(Oid) * (n + 1)));
	proposed.families = static_cast<Oid *>(palloc0(sizeof(Oid) * (n + 1)));
	proposed.method_name = transformed->accessMethod;
	if (strcmp(proposed.method_name, "rtree") == 0)
		proposed.method_name = "gist";
	proposed.method = get_index_am_oid(proposed.method_name, false);
	proposed.info->ii_Am = proposed.method;
	proposed.info->ii_Unique = transformed->unique;
	proposed.info->ii_NullsNotDistinct = transformed->nulls_not_distinct;
	if (n > INDEX_MAX_KEYS)
		return {};
	ListCell *cell;
	foreach (cell, transformed->indexParams)
		add_key(&proposed, table, lfirst_node(IndexElem, cell), true);
	foreach (cell, transformed->indexIncludingParams)
		add_key(&proposed, table, lfirst_node(IndexElem, cell), false);
	proposed.info->ii_Predicate =
		make_ands_implicit(reinterpret_cast<Expr *>(transformed->whereClause));
	return {proposed.info, proposed.collations, proposed.families, RelationGetDescr(table), false,
			'\0'};
}

IndexShape shape_of_index(Relation table, Relation index)
{
	IndexShape shape = {};
	if (!may_build_info(index->rd_indextuple))
		return shape;
	shape.info = BuildIndexInfo(index);
	shape.collations = index->rd_indcollation;
	shape.families = index->rd_opfamily;
	shape.columns = RelationGetDescr(table);
	Oid constraint =
		get_relation_idx_constraint_oid(RelationGetRelid(table), RelationGetRelid(index));
	shape.is_constraint = OidIsValid(constraint);
	if (shape.is_constraint)
		shape.constraint_kind = pg::constraint_type(constraint);
	return shape;
}

namespace {

// Constants folded as in what is stored: RelationGetIndexExpressions(),
// RelationGetIndexPredicate(). DefineIndex() does without when it looks for a match.
void fold_constants(IndexInfo *info)
{
	info->ii_Expressions = reinterpret_cast<List *>(
		eval_const_expressions(nullptr, reinterpret_cast<Node *>(info->ii_Expressions)));
	fix_opfuncids(reinterpret_cast<Node *>(info->ii_Expressions));
	if (info->ii_Predicate == NIL)
		return;
	Node *predicate = eval_const_expressions(
		nullptr, reinterpret_cast<Node *>(make_ands_explicit(info->ii_Predicate)));
	predicate =
		reinterpret_cast<Node *>(canonicalize_qual(reinterpret_cast<Expr *>(predicate), false));
	info->ii_Predicate = make_ands_implicit(reinterpret_cast<Expr *>(predicate));
	fix_opfuncids(reinterpret_cast<Node *>(info->ii_Predicate));
}

} // namespace

bool is_same_index(Relation table, Relation index, const IndexStmt *statement, const char *source)
{
	IndexShape wanted = shape_of_statement(table, statement, source);
	if (wanted.info == nullptr)
		return false;
	fold_constants(wanted.info);
	return matches(table, RelationGetRelid(index), wanted);
}

Oid find_matching_index(Oid table_oid, const IndexShape &wanted, bool must_be_valid)
{
	if (wanted.info == nullptr)
		return InvalidOid;
	Relation table = nullptr;
	Oid found = InvalidOid;
	ListCell *cell;
	foreach (cell, own_indexes(table_oid)) {
		if (OidIsValid(found) || !may_match(lfirst_oid(cell), wanted, must_be_valid))
			continue;
		if (table == nullptr)
			table = open_judged(table_oid);
		if (table == nullptr)
			return InvalidOid;
		if (matches(table, lfirst_oid(cell), wanted))
			found = lfirst_oid(cell);
	}
	if (table != nullptr)
		close_judged(table);
	return found;
}

bool has_matching_index(Oid table, const IndexShape &wanted, bool must_be_valid)
{
	return OidIsValid(find_matching_index(table, wanted, must_be_valid));
}

namespace {

void add_build(Oid table, IndexBuilds *builds)
{
	int64 bytes = own_heap_bytes(table);
	builds->bytes = bytes < 0 || builds->bytes < 0 ? -1 : builds->bytes + bytes;
	builds->leaves++;
}

} // namespace

void find_builds(Oid parent, const IndexShape &wanted, IndexBuilds *builds)
{
	if (has_rows_elsewhere(parent))
		add_build(parent, builds);
	ListCell *cell;
	foreach (cell, find_inheritance_children(parent, NoLock)) {
		Oid child = lfirst_oid(cell);
		char kind = get_rel_relkind(child);
		if (kind == RELKIND_FOREIGN_TABLE) {
			// has no indexes
		} else if (has_matching_index(child, wanted, false)) {
			builds->matched++;
		} else if (kind == RELKIND_PARTITIONED_TABLE) {
			find_builds(child, wanted, builds);
		} else if (exemption(child) == Exempt::no) {
			add_build(child, builds);
		}
	}
}

} // namespace safe_migrate::statement
