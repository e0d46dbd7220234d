// See resolve.hpp.  Mirrors transformUpdateStmt() of analyze.c for the two texts apart.
#include "operations/backfill/resolve.hpp"

#include "operations/backfill/asked_again.hpp"
#include "operations/backfill/called.hpp"
#include "operations/backfill/expression.hpp"
#include "operations/backfill/fill_nulls.hpp"
#include "operations/backfill/leaves_predicate.hpp"
#include "operations/backfill/parse.hpp"
#include "operations/backfill/stored_texts.hpp"
#include "pg/compat_analysis.hpp"
#include "pg/pinned_settings.hpp"

extern "C" {
#include "access/sysattr.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/analyze.h"
#include "parser/parse_clause.h"
#include "parser/parse_collate.h"
#include "parser/parse_relation.h"
#include "parser/parse_target.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/rel.h"
}

namespace safe_migrate::operations::backfill {

namespace {

// "target" as a whole row: by the second name of an entry the server would make a record of it.
Node *second_name_as_row(ParseState *state, ColumnRef *name)
{
	const int n = list_length(name->fields);
	if (n > 2 || !IsA(linitial(name->fields), String) ||
		strcmp(strVal(linitial(name->fields)), stored_alias) != 0 ||
		(n == 2 && !IsA(lsecond(name->fields), A_Star)) ||
		(n == 1 && colNameToVar(state, stored_alias, false, name->location) != nullptr))
		return nullptr;
	int levels_up;
	ParseNamespaceItem *item =
		refnameNamespaceItem(state, nullptr, stored_alias, name->location, &levels_up);
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
	Alias *alias = stored ? makeAlias(stored_alias, NIL) : nullptr;
	ParseNamespaceItem *item =
		addRangeTableEntryForRelation(state, root, AccessShareLock, alias, true, true);
	addNSItemToQuery(state, item, true, true, true);
	state->p_target_relation = root;
	state->p_target_nsitem = item;
	if (!stored && strcmp(RelationGetRelationName(root), stored_alias) != 0) {
		auto *second = static_cast<ParseNamespaceItem *>(palloc(sizeof(ParseNamespaceItem)));
		*second = *item;
		second->p_names = makeAlias(stored_alias, item->p_names->colnames);
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

// Predicate ---------------------------------------------------------------------------

Node *resolve_predicate(const char *text, const Target &target)
{
	UserText user_text = predicate_text(text);
	user_text.enter();
	ParseState *state = open_state(target.root, user_text.source, false);
	Node *parsed = parse_expression(user_text);
	auto *raw = static_cast<Node *>(copyObjectImpl(parsed));
	Node *condition = transformWhereClause(state, parsed, EXPR_KIND_WHERE, "the predicate");
	assign_expr_collations(state, condition);
	check_expression(state, condition, raw);
	check_asked_again(state, condition, target.relations);
	user_text.leave();
	return condition;
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
	Node *predicate =
		request.predicate != nullptr
			? resolve_predicate(request.predicate, target)
			: fill_nulls(open_state(target.root, nullptr, true), target.root, entries);
	if (request.action == RowAction::update)
		check_falsifiable(target, predicate, entries, assigned, request.fire_triggers);

	Definition *definition = store_texts(request, target.root, entries, predicate);
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
