// Analysis of the stored expressions over one leaf.  Each text is parsed on its own and
// checked to be a single expression; the queries around them are put together as nodes,
// so that no text is ever pasted into another.
#include "operations/backfill/row_analysis.hpp"
#include "operations/backfill/expression.hpp"
#include "pg/compat_analysis.hpp"
#include "pg/compat_executor.hpp"
#include "pg/known_objects.hpp"

extern "C" {
#include "access/relation.h"
#include "access/sysattr.h"
#include "catalog/pg_operator_d.h"
#include "catalog/pg_type_d.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_clause.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_relation.h"
#include "parser/parser.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
}

namespace safe_migrate::operations::backfill {
namespace {

struct Analysis {
	const Definition &definition;
	const LeafColumns &columns;
	Relation leaf;
	ParseState *pstate;
	ParseNamespaceItem *item;  // of the leaf
	Index target;			   // its range table index
	Relation root;			   // the table that the job names
	ParseNamespaceItem *named; // of it, by which the texts see their row; nullptr = the leaf's
};

Var *column_var(const Analysis &a, AttrNumber attno)
{
	const FormData_pg_attribute *att = TupleDescAttr(RelationGetDescr(a.leaf), attno - 1);

	return makeVar(a.target, attno, att->atttypid, att->atttypmod, att->attcollation, 0);
}

Var *ctid_var(const Analysis &a)
{
	return makeVar(a.target, SelfItemPointerAttributeNumber, TIDOID, -1, InvalidOid, 0);
}

// The texts are of a query that names the root, whose columns become the leaf's as the planner
// makes them (adjust_appendrel_attrs()): a whole row is converted to one of the root.
Node *in_leaf(const Analysis &a, Node *expression)
{
	bool whole_row;

	if (a.named == nullptr)
		return expression;
	expression =
		map_variable_attnos(expression, a.named->p_rtindex, 0,
							pg::attribute_map(RelationGetDescr(a.leaf), RelationGetDescr(a.root)),
							RelationGetForm(a.leaf)->reltype, &whole_row);
	ChangeVarNodes(expression, a.named->p_rtindex, static_cast<int>(a.target), 0);
	if (!pg::has_virtual_columns(a.leaf))
		return expression;
	return pg::expand_virtual_columns_of_root(expression, rt_fetch(a.target, a.pstate->p_rtable),
											  a.root, a.leaf);
}

// A stored text, with the names that its objects have now.
Node *parse_stored(const Analysis &a, const char *text)
{
	Node *raw = parse_single_expression(text);

	pg::bind_names(raw, a.definition.objects);
	return raw;
}

// Nothing else has come to stand for them.
void check_objects(const Analysis &a, Node *expression)
{
	pg::check_known(expression, a.definition.objects,
					{RelationGetRelid(a.leaf), a.definition.relation});
}

Node *analyse_predicate(const Analysis &a)
{
	Node *raw = parse_stored(a, a.definition.predicate);
	Node *predicate = transformWhereClause(a.pstate, raw, EXPR_KIND_WHERE, "WHERE");

	assign_expr_collations(a.pstate, predicate);
	check_objects(a, predicate);
	return in_leaf(a, predicate);
}

// As transformAssignedExpr: coerced to the column's type the way an assignment is.
Node *analyse_new_value(const Analysis &a, int assignment)
{
	const char *text = a.definition.assignments[assignment].expression;
	AttrNumber attno = a.columns.assigned[assignment];
	const FormData_pg_attribute *att = TupleDescAttr(RelationGetDescr(a.leaf), attno - 1);
	Node *value = transformExpr(a.pstate, parse_stored(a, text), EXPR_KIND_UPDATE_SOURCE);
	Oid type = exprType(value);

	value = coerce_to_target_type(a.pstate, value, type, att->atttypid, att->atttypmod,
								  COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST, -1);
	if (value == nullptr)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" is of type %s but expression is of type %s",
						NameStr(att->attname), format_type_be(att->atttypid), format_type_be(type)),
				 errhint("You will need to rewrite or cast the expression.")));
	assign_expr_collations(a.pstate, value);
	check_objects(a, value);
	return in_leaf(a, value);
}

Param *extern_parameter(int number, Oid type)
{
	Param *param = makeNode(Param);
	param->paramkind = PARAM_EXTERN;
	param->paramid = number;
	param->paramtype = type;
	param->paramtypmod = -1;
	param->location = -1;
	return param;
}

Node *tid_bound(const Analysis &a, Oid opno, int parameter)
{
	Expr *clause = make_opclause(opno, BOOLOID, false, reinterpret_cast<Expr *>(ctid_var(a)),
								 reinterpret_cast<Expr *>(extern_parameter(parameter, TIDOID)),
								 InvalidOid, InvalidOid);
	set_opfuncid(reinterpret_cast<OpExpr *>(clause));
	return reinterpret_cast<Node *>(clause);
}

// A column of the row that the query computes: the new value, the old one, NULL for a
// dropped column.
Expr *new_column(const Analysis &a, AttrNumber attno, Node **new_values)
{
	const FormData_pg_attribute *att = TupleDescAttr(RelationGetDescr(a.leaf), attno - 1);

	if (att->attisdropped)
		return reinterpret_cast<Expr *>(makeNullConst(INT4OID, -1, InvalidOid));
	for (int i = 0; i < a.definition.n_assignments; i++)
		if (a.columns.assigned[i] == attno)
			return reinterpret_cast<Expr *>(new_values[i]);
	return reinterpret_cast<Expr *>(column_var(a, attno));
}

// The level that scans: new values under the attribute numbers of the leaf, then ctid.
Query *scan_level(const Analysis &a, Node *predicate)
{
	Query *query = makeNode(Query);
	int n = a.definition.n_assignments;
	Node **new_values = static_cast<Node **>(palloc(sizeof(Node *) * Max(n, 1)));
	int resno = 1;

	for (int i = 0; i < n; i++)
		new_values[i] = analyse_new_value(a, i);
	query->commandType = CMD_SELECT;
	query->querySource = QSRC_ORIGINAL;
	query->canSetTag = true;
	if (a.definition.action == RowAction::update)
		for (; resno <= a.columns.natts; resno++)
			query->targetList =
				lappend(query->targetList, makeTargetEntry(new_column(a, resno, new_values), resno,
														   psprintf("c%d", resno), false));
	query->targetList =
		lappend(query->targetList, makeTargetEntry(reinterpret_cast<Expr *>(ctid_var(a)), resno,
												   pstrdup("ctid"), false));
	List *quals = list_make3(tid_bound(a, TIDGreaterEqOperator, 1),
							 tid_bound(a, TIDLessEqOperator, 2), predicate);
	query->jointree = makeFromExpr(a.pstate->p_joinlist,
								   reinterpret_cast<Node *>(makeBoolExpr(AND_EXPR, quals, -1)));
	query->hasSubLinks = a.pstate->p_hasSubLinks;
	return query;
}

// ---- the predicate over the new row

struct NewRow {
	const Analysis &a;
	int sublevels_up;
};

Node *new_row_mutator(Node *node, void *context);

Node *new_row_column(NewRow &row, AttrNumber attno)
{
	Node *generated = row.a.columns.generated[attno - 1];

	if (generated == nullptr)
		return reinterpret_cast<Node *>(column_var(row.a, attno));
	// Of its columns none is generated; tableoid is not one of the sub-select.
	NewRow outermost = {row.a, 0};
	return new_row_mutator(generated, &outermost);
}

Node *new_whole_row(NewRow &row, const Var *var)
{
	TupleDesc desc = RelationGetDescr(row.a.leaf);
	RowExpr *expr = makeNode(RowExpr);

	for (int i = 0; i < desc->natts; i++) {
		const FormData_pg_attribute *att = TupleDescAttr(desc, i);
		Node *column = att->attisdropped
						   ? reinterpret_cast<Node *>(makeNullConst(INT4OID, -1, InvalidOid))
						   : new_row_column(row, att->attnum);
		expr->args = lappend(expr->args, column);
		expr->colnames = lappend(expr->colnames, makeString(pstrdup(NameStr(att->attname))));
	}
	expr->row_typeid = var->vartype;
	expr->row_format = COERCE_IMPLICIT_CAST;
	expr->location = -1;
	return reinterpret_cast<Node *>(expr);
}

bool is_target(const NewRow &row, const Var *var)
{
	return var->varno == static_cast<int>(row.a.target) &&
		   static_cast<int>(var->varlevelsup) == row.sublevels_up;
}

// The planner makes a test of each column of IS NOT NULL: also of a dropped one, if it is told.
bool tests_whole_row(const NewRow &row, const NullTest *test)
{
	return test->argisrow && IsA(test->arg, Var) &&
		   reinterpret_cast<const Var *>(test->arg)->varattno == InvalidAttrNumber &&
		   is_target(row, reinterpret_cast<const Var *>(test->arg));
}

RowExpr *live_columns(NewRow &row)
{
	TupleDesc desc = RelationGetDescr(row.a.leaf);
	RowExpr *expr = makeNode(RowExpr);

	for (int i = 0; i < desc->natts; i++) {
		const FormData_pg_attribute *att = TupleDescAttr(desc, i);
		if (att->attisdropped)
			continue;
		expr->args = lappend(expr->args, new_row_column(row, att->attnum));
		expr->colnames = lappend(expr->colnames, makeString(pstrdup(NameStr(att->attname))));
	}
	expr->row_typeid = RECORDOID;
	expr->row_format = COERCE_IMPLICIT_CAST;
	expr->location = -1;
	return expr;
}

// What stands for a reference to the scanned row, at level 0.
Node *new_row_reference(NewRow &row, const Var *var)
{
	if (var->varattno > 0)
		return new_row_column(row, var->varattno);
	switch (var->varattno) {
		case InvalidAttrNumber:
			return new_whole_row(row, var);
		case SelfItemPointerAttributeNumber:
			return reinterpret_cast<Node *>(
				makeVar(row.a.target, row.a.columns.natts + 1, TIDOID, -1, InvalidOid, 0));
		case TableOidAttributeNumber:
			return reinterpret_cast<Node *>(
				makeConst(OIDOID, -1, InvalidOid, sizeof(Oid),
						  ObjectIdGetDatum(RelationGetRelid(row.a.leaf)), false, true));
		default:
			ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
							errmsg("the predicate of a backfill cannot use system columns")));
	}
}

Node *new_row_mutator(Node *node, void *context)
{
	NewRow &row = *static_cast<NewRow *>(context);

	if (node == nullptr)
		return nullptr;
	if (IsA(node, Query)) {
		row.sublevels_up++;
		Query *query = pg::mutate_query(reinterpret_cast<Query *>(node), new_row_mutator, context);
		row.sublevels_up--;
		return reinterpret_cast<Node *>(query);
	}
	if (IsA(node, Var)) {
		const Var *var = reinterpret_cast<const Var *>(node);
		if (!is_target(row, var))
			return static_cast<Node *>(copyObjectImpl(node));
		Node *reference = new_row_reference(row, var);
		if (row.sublevels_up > 0)
			IncrementVarSublevelsUp(reference, row.sublevels_up, 0);
		return reference;
	}
	if (IsA(node, NullTest) && tests_whole_row(row, reinterpret_cast<NullTest *>(node))) {
		NullTest *test = static_cast<NullTest *>(copyObjectImpl(node));
		RowExpr *live = live_columns(row);
		if (row.sublevels_up > 0)
			IncrementVarSublevelsUp(reinterpret_cast<Node *>(live), row.sublevels_up, 0);
		test->arg = reinterpret_cast<Expr *>(live);
		return reinterpret_cast<Node *>(test);
	}
	return pg::mutate_expression(node, new_row_mutator, context);
}

RangeTblEntry *subquery_entry(Query *subquery, int natts)
{
	RangeTblEntry *rte = makeNode(RangeTblEntry);

	rte->rtekind = RTE_SUBQUERY;
	rte->subquery = subquery;
	rte->eref = makeAlias("target", NIL);
	for (int i = 1; i <= natts + 1; i++)
		rte->eref->colnames = lappend(rte->eref->colnames, makeString(psprintf("c%d", i)));
	rte->inFromCl = true;
	return rte;
}

// The level above: the row with its stored generated columns, ctid, and whether the
// predicate holds for it.  OFFSET 0 keeps the scan apart, so that values are computed once.
Query *new_row_level(const Analysis &a, Query *scan, Node *predicate)
{
	Query *query = makeNode(Query);
	NewRow row = {a, 0};
	RangeTblRef *ref = makeNode(RangeTblRef);
	BooleanTest *still = makeNode(BooleanTest);
	int resno = 1;

	scan->limitOffset = reinterpret_cast<Node *>(makeConst(
		INT8OID, -1, InvalidOid, sizeof(int64), Int64GetDatum(0), false, FLOAT8PASSBYVAL));
	ref->rtindex = 1;
	query->commandType = CMD_SELECT;
	query->querySource = QSRC_ORIGINAL;
	query->canSetTag = true;
	query->rtable = list_make1(subquery_entry(scan, a.columns.natts));
	query->jointree = makeFromExpr(list_make1(ref), nullptr);
	for (; resno <= a.columns.natts; resno++) {
		const FormData_pg_attribute *att = TupleDescAttr(RelationGetDescr(a.leaf), resno - 1);
		Node *column = att->attisdropped || pg::is_virtual_generated(att)
						   ? reinterpret_cast<Node *>(makeNullConst(INT4OID, -1, InvalidOid))
						   : new_row_column(row, resno);
		query->targetList =
			lappend(query->targetList, makeTargetEntry(reinterpret_cast<Expr *>(column), resno,
													   psprintf("c%d", resno), false));
	}
	Var *ctid = makeVar(1, resno, TIDOID, -1, InvalidOid, 0);
	query->targetList = lappend(query->targetList, makeTargetEntry(reinterpret_cast<Expr *>(ctid),
																   resno, pstrdup("ctid"), false));
	resno++;
	still->arg = reinterpret_cast<Expr *>(new_row_mutator(predicate, &row));
	still->booltesttype = IS_TRUE;
	still->location = -1;
	query->targetList =
		lappend(query->targetList, makeTargetEntry(reinterpret_cast<Expr *>(still), resno,
												   pstrdup("still_matches"), false));
	query->hasSubLinks = checkExprHasSubLink(reinterpret_cast<Node *>(query->targetList));
	return query;
}

// ---- the statement that writes

Node *tid_is_any_of_parameter(const Analysis &a)
{
	ScalarArrayOpExpr *clause = makeNode(ScalarArrayOpExpr);

	clause->opno = TIDEqualOperator;
	clause->opfuncid = get_opcode(TIDEqualOperator);
	clause->useOr = true;
	clause->args = list_make2(ctid_var(a), extern_parameter(1, TIDARRAYOID));
	clause->location = -1;
	return reinterpret_cast<Node *>(clause);
}

// $2[array_position($1, ctid)].column: what the row query has computed of this row.
Expr *given_value(const Analysis &a, int assignment)
{
	const FormData_pg_attribute *att =
		TupleDescAttr(RelationGetDescr(a.leaf), a.columns.assigned[assignment] - 1);
	FuncExpr *position = makeFuncExpr(F_ARRAY_POSITION_ANYCOMPATIBLEARRAY_ANYCOMPATIBLE, INT4OID,
									  list_make2(extern_parameter(1, TIDARRAYOID), ctid_var(a)),
									  InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
	SubscriptingRef *row = makeNode(SubscriptingRef);
	row->refcontainertype = RECORDARRAYOID;
	row->refelemtype = row->refrestype = RECORDOID;
	row->reftypmod = -1;
	row->refupperindexpr = list_make1(position);
	row->refexpr = reinterpret_cast<Expr *>(extern_parameter(2, RECORDARRAYOID));
	FieldSelect *value = makeNode(FieldSelect);
	value->arg = reinterpret_cast<Expr *>(row);
	value->fieldnum = static_cast<AttrNumber>(assignment + 1);
	value->resulttype = att->atttypid;
	value->resulttypmod = att->atttypmod;
	value->resultcollid = att->attcollation;
	return reinterpret_cast<Expr *>(value);
}

// RETURNING ctid, (predicate) IS TRUE, tableoid: of an UPDATE those of the new version.
List *returning(const Analysis &a, Node *predicate)
{
	BooleanTest *matches = makeNode(BooleanTest);
	Expr *again = reinterpret_cast<Expr *>(matches);

	matches->arg = static_cast<Expr *>(copyObjectImpl(predicate));
	matches->booltesttype = IS_TRUE;
	matches->location = -1;
	if (a.definition.action == RowAction::erase)
		again = reinterpret_cast<Expr *>(makeBoolConst(false, false));
	Var *table = makeVar(a.target, TableOidAttributeNumber, OIDOID, -1, InvalidOid, 0);
	return list_make3(
		makeTargetEntry(reinterpret_cast<Expr *>(ctid_var(a)), 1, pstrdup("ctid"), false),
		makeTargetEntry(again, 2, pstrdup("matches"), false),
		makeTargetEntry(reinterpret_cast<Expr *>(table), 3, pstrdup("tableoid"), false));
}

// ---- texts

bool is_bare_select(const SelectStmt *select)
{
	return select->distinctClause == NIL && select->intoClause == nullptr &&
		   select->fromClause == NIL && select->whereClause == nullptr &&
		   select->groupClause == NIL && select->havingClause == nullptr &&
		   select->windowClause == NIL && select->valuesLists == NIL && select->sortClause == NIL &&
		   select->limitOffset == nullptr && select->limitCount == nullptr &&
		   select->lockingClause == NIL && select->withClause == nullptr &&
		   select->op == SETOP_NONE && list_length(select->targetList) == 1;
}

bool is_star(const Node *node)
{
	return IsA(node, ColumnRef) &&
		   IsA(llast(reinterpret_cast<const ColumnRef *>(node)->fields), A_Star);
}

} // namespace

Node *parse_single_expression(const char *text)
{
	List *statements = raw_parser(psprintf("SELECT %s", text), RAW_PARSE_DEFAULT);

	if (list_length(statements) == 1) {
		Node *statement = linitial_node(RawStmt, statements)->stmt;
		if (IsA(statement, SelectStmt) &&
			is_bare_select(reinterpret_cast<SelectStmt *>(statement))) {
			ResTarget *target =
				linitial_node(ResTarget, reinterpret_cast<SelectStmt *>(statement)->targetList);
			if (target->name == nullptr && target->indirection == NIL && !is_star(target->val))
				return target->val;
		}
	}
	ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR), errmsg("not a single expression: %s", text)));
}

namespace {

AclMode right_to(RowAction action) { return action == RowAction::erase ? ACL_DELETE : ACL_UPDATE; }

// The name that the stored expressions use for a column.  Columns that the table did not have when
// the job was queued get a name nothing can refer to.
char *queued_name(const Definition &definition, AttrNumber attno)
{
	if (attno <= definition.n_columns && definition.columns[attno - 1])
		return pstrdup(definition.columns[attno - 1]);
	return psprintf("(column %d came later)", attno);
}

// "target", and its columns.
Alias *queued_names(const Definition &definition, Relation root)
{
	TupleDesc desc = RelationGetDescr(root);
	Alias *alias = makeAlias("target", NIL);

	for (int i = 0; i < desc->natts; i++)
		if (!TupleDescAttr(desc, i)->attisdropped)
			alias->colnames = lappend(alias->colnames, makeString(queued_name(definition, i + 1)));
	return alias;
}

// In no FROM clause, but with rights that are asked for, as of the table that an UPDATE names.
ParseNamespaceItem *add_root(const Definition &definition, ParseState *pstate, Relation root)
{
	Bitmapset *assigned = nullptr;
	ParseNamespaceItem *item = addRangeTableEntryForRelation(
		pstate, root, AccessShareLock, queued_names(definition, root), false, false);

	for (int i = 0; i < definition.n_assignments; i++)
		assigned = bms_add_member(assigned, definition.assignments[i].attnum -
												FirstLowInvalidHeapAttributeNumber);
	pg::require_permission(pstate, item->p_rte, right_to(definition.action), assigned);
	addNSItemToQuery(pstate, item, false, true, true);
	return item;
}

// What the texts read of the root the role has to be allowed to read of the leaf, too.
void end_analysis(const Analysis &a)
{
	if (a.named != nullptr) {
		Bitmapset *selected = nullptr;
		const Bitmapset *of_root = pg::selected_columns(a.named);
		for (int member = -1; (member = bms_next_member(of_root, member)) >= 0;) {
			int attno = member + FirstLowInvalidHeapAttributeNumber;
			if (attno > 0)
				attno = get_attnum(
					RelationGetRelid(a.leaf),
					get_attname(RelationGetRelid(a.root), static_cast<AttrNumber>(attno), false));
			selected = bms_add_member(selected, attno - FirstLowInvalidHeapAttributeNumber);
		}
		pg::require_selected(a.pstate, a.item->p_rte, selected);
	}
	relation_close(a.root, NoLock);
	free_parsestate(a.pstate);
}

Analysis begin_analysis(const Definition &definition, const LeafColumns &columns, Relation leaf)
{
	ParseState *pstate = make_parsestate(nullptr);
	Relation root = try_relation_open(definition.relation, AccessShareLock);

	if (root == nullptr)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("the job's table does not exist any more")));
	bool is_root = RelationGetRelid(leaf) == definition.relation;
	ParseNamespaceItem *item = addRangeTableEntryForRelation(
		pstate, leaf, RowExclusiveLock, is_root ? queued_names(definition, root) : nullptr, false,
		true);
	addNSItemToQuery(pstate, item, true, is_root, is_root);
	pg::require_permission(pstate, item->p_rte, right_to(definition.action), columns.assigned_set);
	return {definition, columns,
			leaf,		pstate,
			item,		static_cast<Index>(item->p_rtindex),
			root,		is_root ? nullptr : add_root(definition, pstate, root)};
}

// Volatile functions are called once for a row: by the row query.
void set_new_values(const Analysis &a, Query *query, bool *takes_values)
{
	int n = a.definition.n_assignments;
	Expr **values = static_cast<Expr **>(palloc(sizeof(Expr *) * Max(n, 1)));

	*takes_values = false;
	for (int i = 0; i < n; i++) {
		values[i] = reinterpret_cast<Expr *>(analyse_new_value(a, i));
		*takes_values =
			*takes_values || contain_volatile_functions(reinterpret_cast<Node *>(values[i]));
	}
	for (int i = 0; i < n; i++) {
		AttrNumber attno = a.columns.assigned[i];
		const FormData_pg_attribute *att = TupleDescAttr(RelationGetDescr(a.leaf), attno - 1);
		query->targetList = lappend(query->targetList,
									makeTargetEntry(*takes_values ? given_value(a, i) : values[i],
													attno, pstrdup(NameStr(att->attname)), false));
	}
}

} // namespace

Query *analyse_row_query(const Definition &definition, const LeafColumns &columns, Relation leaf)
{
	Analysis a = begin_analysis(definition, columns, leaf);
	Node *predicate = analyse_predicate(a);
	Query *query = scan_level(a, predicate);

	pg::take_range_table(query, a.pstate);
	if (definition.action == RowAction::update)
		query = new_row_level(a, query, static_cast<Node *>(copyObjectImpl(predicate)));
	end_analysis(a);
	return query;
}

Query *analyse_write_query(const Definition &definition, const LeafColumns &columns, Relation leaf,
						   bool *takes_values)
{
	Analysis a = begin_analysis(definition, columns, leaf);
	Query *query = makeNode(Query);
	Node *predicate = analyse_predicate(a);

	query->commandType = definition.action == RowAction::erase ? CMD_DELETE : CMD_UPDATE;
	query->querySource = QSRC_ORIGINAL;
	query->canSetTag = true;
	query->resultRelation = a.target;
	set_new_values(a, query, takes_values);
	query->returningList = returning(a, predicate);
	// what is queued has matched and is locked: chance is not asked twice
	List *quals = list_make1(tid_is_any_of_parameter(a));
	if (!contain_volatile_functions(predicate))
		quals = lappend(quals, predicate);
	query->jointree = makeFromExpr(a.pstate->p_joinlist,
								   reinterpret_cast<Node *>(makeBoolExpr(AND_EXPR, quals, -1)));
	query->hasSubLinks = a.pstate->p_hasSubLinks;
	pg::take_range_table(query, a.pstate);
	end_analysis(a);
	return query;
}

bool means_the_same(const Definition &definition, Relation root, const Query *query)
{
	LeafColumns columns = map_columns(definition, root);
	if (definition.n_assignments != list_length(query->targetList))
		return false;
	Analysis a = begin_analysis(definition, columns, root);
	bool same = same_meaning(analyse_predicate(a), query->jointree->quals);
	for (int i = 0; same && i < definition.n_assignments; i++) {
		const auto *entry = list_nth_node(TargetEntry, query->targetList, i);
		same = entry->resno == columns.assigned[i] &&
			   same_meaning(analyse_new_value(a, i), reinterpret_cast<Node *>(entry->expr));
	}
	end_analysis(a);
	return same;
}

} // namespace safe_migrate::operations::backfill
