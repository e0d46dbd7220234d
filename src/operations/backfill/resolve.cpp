// See resolve.hpp.  Mirrors transformUpdateStmt() of analyze.c for the two texts apart.
#include "operations/backfill/resolve.hpp"

#include "operations/backfill/called.hpp"
#include "operations/backfill/expression.hpp"
#include "operations/backfill/leaves_predicate.hpp"
#include "operations/backfill/parse.hpp"
#include "pg/compat_analysis.hpp"
#include "pg/known_objects.hpp"
#include "pg/pinned_settings.hpp"

extern "C" {
#include "access/sysattr.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/analyze.h"
#include "parser/parse_clause.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_relation.h"
#include "parser/parse_target.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
}

namespace safe_migrate::operations::backfill {

namespace {

constexpr const char alias_name[] = "target";

// "target" as a whole row: by the second name of an entry the server would make a record of it.
Node *second_name_as_row(ParseState *state, ColumnRef *name)
{
	const int n = list_length(name->fields);
	if (n > 2 || !IsA(linitial(name->fields), String) ||
		strcmp(strVal(linitial(name->fields)), alias_name) != 0 ||
		(n == 2 && !IsA(lsecond(name->fields), A_Star)) ||
		(n == 1 && colNameToVar(state, alias_name, false, name->location) != nullptr))
		return nullptr;
	int levels_up;
	ParseNamespaceItem *item =
		refnameNamespaceItem(state, nullptr, alias_name, name->location, &levels_up);
	if (item == nullptr || item->p_rte->rtekind != RTE_RELATION ||
		item->p_names == item->p_rte->eref)
		return nullptr;
	Var *row = makeWholeRowVar(item->p_rte, item->p_rtindex, levels_up, true);
	row->location = name->location;
	markVarForSelectPriv(state, row);
	return reinterpret_cast<Node *>(row);
}

// Names: the columns, the table as in UPDATE, and "target", by which stored texts refer to it.
ParseState *open_state(Relation root, const char *source, bool stored)
{
	ParseState *state = make_parsestate(nullptr);
	state->p_sourcetext = source;
	Alias *alias = stored ? makeAlias(alias_name, NIL) : nullptr;
	ParseNamespaceItem *item =
		addRangeTableEntryForRelation(state, root, AccessShareLock, alias, true, true);
	addNSItemToQuery(state, item, true, true, true);
	state->p_target_relation = root;
	state->p_target_nsitem = item;
	if (!stored && strcmp(RelationGetRelationName(root), alias_name) != 0) {
		auto *second = static_cast<ParseNamespaceItem *>(palloc(sizeof(ParseNamespaceItem)));
		*second = *item;
		second->p_names = makeAlias(alias_name, item->p_names->colnames);
		second->p_cols_visible = false;
		state->p_namespace = lappend(state->p_namespace, second);
		state->p_pre_columnref_hook = second_name_as_row;
	}
	return state;
}

// Assignments -------------------------------------------------------------------------

// rewriteTargetListIU() and process_matched_tle() of rewriteHandler.c refuse these, too late.
void check_target(ParseState *state, Relation root, const ResTarget *target, AttrNumber attnum)
{
	Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(root), attnum - 1);
	const bool generated = attribute->attgenerated != '\0';
	if (generated || attribute->attidentity == ATTRIBUTE_IDENTITY_ALWAYS)
		ereport(ERROR,
				(errcode(ERRCODE_GENERATED_ALWAYS),
				 errmsg("column \"%s\" can't be assigned to", target->name),
				 generated
					 ? errdetail("Column \"%s\" is a generated column.", target->name)
					 : errdetail("Column \"%s\" is an identity column defined as GENERATED ALWAYS.",
								 target->name),
				 parser_errposition(state, target->location)));
	if (target->indirection != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("an element or field of column \"%s\" can't be assigned to", target->name),
				 errhint("Assign the whole column, for example with jsonb_set() or "
						 "array concatenation."),
				 parser_errposition(state, target->location)));
}

void check_targets(ParseState *state, Relation root, List *targets)
{
	Bitmapset *seen = nullptr;
	ListCell *lc;
	foreach (lc, targets) {
		auto *target = lfirst_node(ResTarget, lc);
		int attnum = attnameAttNum(root, target->name, false);
		if (attnum <= 0)
			continue; // the server has its own words for system and unknown columns
		check_target(state, root, target, static_cast<AttrNumber>(attnum));
		if (bms_is_member(attnum, seen))
			ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR),
							errmsg("multiple assignments to same column \"%s\"", target->name),
							parser_errposition(state, target->location)));
		seen = bms_add_member(seen, attnum);
	}
}

// What DEFAULT stands for.  NULL where the column has none, as in UPDATE.
Expr *default_value(ParseState *state, Relation root, const TargetEntry *entry)
{
	Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(root), entry->resno - 1);
	if (attribute->attidentity != '\0')
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("identity column \"%s\" can't be set to DEFAULT here",
						NameStr(attribute->attname)),
				 errhint("Write nextval() of its sequence."),
				 parser_errposition(state, exprLocation(reinterpret_cast<Node *>(entry->expr)))));
	Node *value = build_column_default(root, entry->resno);
	if (value != nullptr)
		return reinterpret_cast<Expr *>(value);
	Const *null = makeConst(UNKNOWNOID, -1, InvalidOid, -2, Datum(0), true, false);
	return transformAssignedExpr(state, reinterpret_cast<Expr *>(null), EXPR_KIND_UPDATE_SOURCE,
								 NameStr(attribute->attname), entry->resno, NIL, -1);
}

// A list of TargetEntry, resno = attribute number, coerced to the columns' types.
List *analyse_assignments(ParseState *state, Relation root, List *targets)
{
	check_targets(state, root, targets);
	List *entries = transformUpdateTargetList(state, targets);
	ListCell *lc;
	foreach (lc, entries) {
		auto *entry = lfirst_node(TargetEntry, lc);
		if (entry->resjunk)
			elog(ERROR, "an assignment was left unsplit");
		if (IsA(entry->expr, SetToDefault))
			entry->expr = default_value(state, root, entry);
		assign_expr_collations(state, reinterpret_cast<Node *>(entry->expr));
	}
	return entries;
}

List *resolve_assignments(const Request &request, Relation root)
{
	UserText user_text = request.filled ? fill_text(request.filled, request.assignments)
										: assignments_text(request.assignments);
	user_text.enter();
	ParseState *state = open_state(root, user_text.source, false);
	ParsedAssignments parsed = parse_assignments(user_text);
	auto *raw = static_cast<List *>(copyObjectImpl(parsed.targets));
	List *entries = analyse_assignments(state, root, parsed.targets);
	ListCell *lc;
	foreach (lc, entries) {
		auto *value = reinterpret_cast<Node *>(lfirst_node(TargetEntry, lc)->expr);
		check_expression(state, value,
						 static_cast<Node *>(list_nth(raw, foreach_current_index(lc))));
		if (bms_is_member(foreach_current_index(lc), parsed.from_one_row) &&
			contain_volatile_functions(value))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("a sub-select for several columns can't call volatile functions"),
					 errdetail("It runs once for each column, and has to give the same row."),
					 parser_errposition(state, exprLocation(value))));
	}
	user_text.leave();
	return entries;
}

// Without a predicate -----------------------------------------------------------------

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

Node *default_predicate(Relation root, List *entries)
{
	ParseState *state = open_state(root, nullptr, true);
	ListCell *lc;
	if (list_length(entries) > 1)
		foreach (lc, entries)
			fill_only_nulls(state, root, lfirst_node(TargetEntry, lc));
	return any_is_null(root, entries);
}

// Predicate ---------------------------------------------------------------------------

Node *resolve_predicate(const char *text, Relation root)
{
	UserText user_text = predicate_text(text);
	user_text.enter();
	ParseState *state = open_state(root, user_text.source, false);
	Node *parsed = parse_expression(user_text);
	auto *raw = static_cast<Node *>(copyObjectImpl(parsed));
	Node *condition = transformWhereClause(state, parsed, EXPR_KIND_WHERE, "the predicate");
	assign_expr_collations(state, condition);
	check_expression(state, condition, raw);
	user_text.leave();
	return condition;
}

// Storing -----------------------------------------------------------------------------

const char **name_columns(Relation root, const Bitmapset *used, int *n)
{
	TupleDesc desc = RelationGetDescr(root);
	auto **names = static_cast<const char **>(palloc0(sizeof(char *) * (desc->natts + 1)));
	*n = 0;
	for (int attnum = 1; attnum <= desc->natts; attnum++)
		if (bms_is_member(attnum - FirstLowInvalidHeapAttributeNumber, used)) {
			names[attnum - 1] = pstrdup(NameStr(TupleDescAttr(desc, attnum - 1)->attname));
			*n = attnum;
		}
	return names;
}

// Amounts of money are written and read by it; nothing is run meanwhile.
void enter_for_texts(pg::PinnedSettings *pinned)
{
	pinned->enter();
	pg::set_in_level("lc_monetary", "C");
}

Node *without_casts(Node *value);

// A row that becomes one of the column's type: its fields are coerced as in an assignment, too,
// which a cast around each of them would not say.
void bare_fields(RowExpr *row)
{
	ListCell *lc;
	if (row->row_typeid != RECORDOID && row->row_format == COERCE_IMPLICIT_CAST)
		foreach (lc, row->args)
			lfirst(lc) = without_casts(static_cast<Node *>(lfirst(lc)));
}

// The value as it was written, of a copy of what became of it.
Node *without_casts(Node *value)
{
	auto take = [](CoercionForm form, void *argument, Node *whole) {
		return form == COERCE_IMPLICIT_CAST ? without_casts(static_cast<Node *>(argument)) : whole;
	};
	switch (nodeTag(value)) {
		case T_CoerceToDomain:
			return take(castNode(CoerceToDomain, value)->coercionformat,
						castNode(CoerceToDomain, value)->arg, value);
		case T_FuncExpr:
			return take(castNode(FuncExpr, value)->funcformat,
						list_length(castNode(FuncExpr, value)->args) > 0
							? linitial(castNode(FuncExpr, value)->args)
							: value,
						value);
		case T_RelabelType:
			return take(castNode(RelabelType, value)->relabelformat,
						castNode(RelabelType, value)->arg, value);
		case T_CoerceViaIO:
			return take(castNode(CoerceViaIO, value)->coerceformat,
						castNode(CoerceViaIO, value)->arg, value);
		case T_ArrayCoerceExpr:
			return take(castNode(ArrayCoerceExpr, value)->coerceformat,
						castNode(ArrayCoerceExpr, value)->arg, value);
		case T_RowExpr:
			bare_fields(castNode(RowExpr, value));
			return value;
		default:
			return value;
	}
}

// What is stored of a value that is assigned; the coercion of it all to the column's type is left
// out by the deparser itself.
Node *as_assigned(Node *value)
{
	auto *copy = static_cast<Node *>(copyObjectImpl(value));
	Node *row = copy;
	while (IsA(row, CoerceToDomain) &&
		   castNode(CoerceToDomain, row)->coercionformat == COERCE_IMPLICIT_CAST)
		row = reinterpret_cast<Node *>(castNode(CoerceToDomain, row)->arg);
	if (IsA(row, RowExpr))
		bare_fields(castNode(RowExpr, row));
	return copy;
}

// Of a copy: from 18 on the deparser changes sub-selects with GROUP BY.
char *text_of(Node *expression, List *context)
{
	return deparse_expression(static_cast<Node *>(copyObjectImpl(expression)), context, true,
							  false);
}

Definition *deparse(const Request &request, Relation root, List *entries, Node *predicate)
{
	auto *definition = static_cast<Definition *>(palloc0(sizeof(Definition)));
	List *context = deparse_context_for(alias_name, RelationGetRelid(root));
	Bitmapset *used = columns_read(predicate);
	definition->action = request.action;
	definition->relation = RelationGetRelid(root);
	definition->fire_triggers = request.fire_triggers;
	definition->n_assignments = list_length(entries);
	definition->assignments =
		static_cast<Assignment *>(palloc0(sizeof(Assignment) * (list_length(entries) + 1)));
	definition->predicate = text_of(predicate, context);
	ListCell *lc;
	foreach (lc, entries) {
		auto *entry = lfirst_node(TargetEntry, lc);
		auto *value = reinterpret_cast<Node *>(entry->expr);
		definition->assignments[foreach_current_index(lc)] = {
			entry->resno, get_attname(RelationGetRelid(root), entry->resno, false),
			text_of(as_assigned(value), context)};
		used = bms_add_members(used, columns_read(value));
		used = bms_add_member(used, entry->resno - FirstLowInvalidHeapAttributeNumber);
	}
	definition->columns = name_columns(root, used, &definition->n_columns);
	return definition;
}

// The stored texts have to come back as the trees they were made from.
void check_round_trip(const Definition &definition, const Query *query, List *entries,
					  Node *predicate)
{
	const char *text = nullptr;
	if (!same_meaning(predicate, query->jointree->quals))
		text = definition.predicate;
	for (int i = 0; text == nullptr && i < definition.n_assignments; i++) {
		auto *stored = list_nth_node(TargetEntry, query->targetList, i);
		auto *meant = list_nth_node(TargetEntry, entries, i);
		if (!same_meaning(reinterpret_cast<Node *>(meant->expr),
						  reinterpret_cast<Node *>(stored->expr)))
			text = definition.assignments[i].expression;
	}
	if (text == nullptr)
		return;
	ereport(
		ERROR,
		(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
		 errmsg("an expression can't be stored so that it keeps its meaning"),
		 errdetail("Without the search_path of this session, \"%s\" means something else.", text),
		 errhint("Put the expression into a function, or name operators of other schemas as "
				 "OPERATOR(schema.=); IS DISTINCT FROM, NULLIF and CASE x WHEN can't.")));
}

// What is stored of the trees that the texts have given, beside the texts.
void describe_trees(Definition *definition, const Query *query, const Target &target)
{
	pg::PinnedSettings pinned;
	pinned.enter();
	List *raw = list_make1(parse_expression(predicate_text(definition->predicate)));
	for (int i = 0; i < definition->n_assignments; i++)
		raw = lappend(raw, parse_expression(predicate_text(definition->assignments[i].expression)));
	auto *trees =
		reinterpret_cast<Node *>(lappend(list_copy(query->targetList), query->jointree->quals));
	definition->objects = pg::known_objects(trees, raw);
	definition->reads_itself = may_read(trees, target.relations);
	pinned.leave();
}

// Rights on what sub-selects read; the target's own are checked table by table.
bool check_sub_selects(Node *node, void *arg)
{
	if (node == nullptr)
		return false;
	if (IsA(node, Query)) {
		pg::check_query_permissions(castNode(Query, node));
		return pg::walk_query(castNode(Query, node), check_sub_selects, arg, 0);
	}
	return pg::walk_expression(node, check_sub_selects, arg);
}

} // namespace

Query *analyse(const Definition &definition, Relation root)
{
	pg::PinnedSettings pinned;
	enter_for_texts(&pinned);
	ParseState *state = open_state(root, nullptr, true);
	Query *query = makeNode(Query);
	query->commandType = definition.action == RowAction::update ? CMD_UPDATE : CMD_DELETE;
	query->querySource = QSRC_ORIGINAL;
	query->canSetTag = true;
	query->resultRelation = 1;

	List *targets = NIL;
	for (int i = 0; i < definition.n_assignments; i++) {
		const Assignment &assignment = definition.assignments[i];
		ResTarget *target = makeNode(ResTarget);
		target->name = pstrdup(assignment.column);
		target->val = parse_expression(predicate_text(assignment.expression));
		target->location = -1;
		targets = lappend(targets, target);
	}
	if (definition.action == RowAction::update)
		query->targetList = analyse_assignments(state, root, targets);
	Node *condition =
		transformWhereClause(state, parse_expression(predicate_text(definition.predicate)),
							 EXPR_KIND_WHERE, "the predicate");
	assign_expr_collations(state, condition);
	pg::require_permission(state->p_target_nsitem,
						   definition.action == RowAction::update ? ACL_UPDATE : ACL_DELETE);
	query->jointree = makeFromExpr(state->p_joinlist, condition);
	query->hasSubLinks = state->p_hasSubLinks;
	pg::set_range_table(query, state);
	pinned.leave();
	return query;
}

Resolved resolve(const Request &request, const Target &target)
{
	List *entries = NIL;
	if (request.action == RowAction::update)
		entries = resolve_assignments(request, target.root);
	Bitmapset *assigned = nullptr;
	ListCell *lc;
	foreach (lc, entries)
		assigned = bms_add_member(assigned, lfirst_node(TargetEntry, lc)->resno -
												FirstLowInvalidHeapAttributeNumber);
	Node *predicate = request.predicate != nullptr
						  ? resolve_predicate(request.predicate, target.root)
						  : default_predicate(target.root, entries);
	if (request.action == RowAction::update)
		check_falsifiable(target, predicate, entries, assigned, request.fire_triggers);

	pg::PinnedSettings pinned;
	enter_for_texts(&pinned);
	Definition *definition = deparse(request, target.root, entries, predicate);
	pinned.leave();
	Query *query = analyse(*definition, target.root);
	check_round_trip(*definition, query, entries, predicate);
	describe_trees(definition, query, target);

	Bitmapset *selected = columns_read(predicate);
	foreach (lc, entries) {
		auto *value = reinterpret_cast<Node *>(lfirst_node(TargetEntry, lc)->expr);
		selected = bms_add_members(selected, columns_read(value));
		check_sub_selects(value, nullptr);
		check_may_call(value);
	}
	check_sub_selects(predicate, nullptr);
	check_may_call(predicate);
	return {definition, query, assigned, selected};
}

void check_nullable(const Resolved &resolved, const Target &target)
{
	TupleDesc desc = RelationGetDescr(target.root);
	const Definition &definition = *resolved.definition;
	const char *never = nullptr;
	int n = 0;
	for (int i = 0; i < definition.n_assignments; i++)
		if (pg::is_not_null(desc, definition.assignments[i].attnum)) {
			never = definition.assignments[i].column;
			n++;
		}
	if (n == 0)
		return;
	if (n == definition.n_assignments)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 n == 1 ? errmsg("column \"%s\" is NOT NULL, so there is nothing to fill", never)
						: errmsg("all assigned columns are NOT NULL, so there is nothing to fill"),
				 errdetail("Without a predicate only NULLs are replaced."),
				 errhint("Say with a predicate which rows to change, one that a changed row no "
						 "longer satisfies.")));
	ereport(NOTICE, (errmsg("column \"%s\" is NOT NULL and is never set", never),
					 errdetail("Without a predicate only NULLs are replaced.")));
}

} // namespace safe_migrate::operations::backfill
