// See check.hpp.  CREATE RULE, as transformRuleStmt() and DefineQueryRewrite() look at it.  Its
// actions are not analysed, which would lock what they write to: only what they name is looked for.
#include "operations/apply/check/check.hpp"
#include "operations/apply/check/expressions.hpp"
#include "pg/compat_alter.hpp"

extern "C" {
#include "access/relation.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "nodes/parsenodes.h"
#include "nodes/makefuncs.h"
#include "parser/parse_node.h"
#include "parser/parse_relation.h"
#include "rewrite/rewriteSupport.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
}

namespace safe_migrate::operations::apply {

namespace {

void check_kind(Relation relation)
{
	const char *name = RelationGetRelationName(relation);
	char kind = relation->rd_rel->relkind;
	if (kind == RELKIND_MATVIEW)
		refuse(ERRCODE_FEATURE_NOT_SUPPORTED, "rules on materialized views are not supported");
	if (kind != RELKIND_RELATION && kind != RELKIND_VIEW && kind != RELKIND_PARTITIONED_TABLE)
		refuse(ERRCODE_WRONG_OBJECT_TYPE, "relation \"%s\" cannot have rules", name);
	check_no_system_catalog(relation, name);
}

// is_visible: else it is known for the error's words only.
void add_row(ParseState *state, Relation relation, const char *name, bool is_visible)
{
	ParseNamespaceItem *item = addRangeTableEntryForRelation(state, relation, AccessShareLock,
															 makeAlias(name, NIL), false, false);
	if (is_visible)
		addNSItemToQuery(state, item, false, true, true);
}

void check_where(const RuleStmt *create, Relation relation, const char *sql)
{
	ParseState *state = make_parsestate(nullptr);
	state->p_sourcetext = sql;
	add_row(state, relation, "old", create->event != CMD_INSERT);
	add_row(state, relation, "new", create->event == CMD_INSERT || create->event == CMD_UPDATE);
	check_condition(state, create->whereClause, EXPR_KIND_WHERE, "WHERE");
}

// ---------------------------------------------------------------- actions

struct Names {
	Oid relation;
	bool is_plain; // nothing in it hides what a name means: no WITH, no other OLD or NEW
	List *tables;  // of RangeVar *
	bool old_used;
	bool new_used;
	const ColumnRef *missing; // of OLD or NEW
};

bool is_row(const char *name) { return strcmp(name, "old") == 0 || strcmp(name, "new") == 0; }

void note_column(Names *names, const ColumnRef *column)
{
	if (list_length(column->fields) < 2 || !IsA(linitial(column->fields), String))
		return;
	const char *row = strVal(linitial(column->fields));
	if (!is_row(row))
		return;
	names->old_used = names->old_used || strcmp(row, "old") == 0;
	names->new_used = names->new_used || strcmp(row, "new") == 0;
	if (!names->missing && IsA(lsecond(column->fields), String) &&
		get_attnum(names->relation, strVal(lsecond(column->fields))) == InvalidAttrNumber)
		names->missing = column;
}

bool note_names(Node *node, void *context)
{
	auto *names = static_cast<Names *>(context);
	if (!node)
		return false;
	if (IsA(node, WithClause))
		names->is_plain = false;
	if (IsA(node, RangeVar)) {
		auto *table = castNode(RangeVar, node);
		if (is_row(table->alias ? table->alias->aliasname : table->relname))
			names->is_plain = false;
		names->tables = lappend(names->tables, table);
	}
	if (IsA(node, Alias) && is_row(castNode(Alias, node)->aliasname))
		names->is_plain = false;
	if (IsA(node, ColumnRef))
		note_column(names, castNode(ColumnRef, node));
	return pg::walk_raw(node, note_names, context);
}

void check_action(const RuleStmt *create, Relation relation, Node *action)
{
	if (create->whereClause && IsA(action, NotifyStmt))
		refuse(ERRCODE_INVALID_OBJECT_DEFINITION,
			   "rules with WHERE conditions can only have SELECT, INSERT, UPDATE, or DELETE "
			   "actions");
	if (IsA(action, NotifyStmt))
		return;
	Names names = {};
	names.relation = RelationGetRelid(relation);
	names.is_plain = true;
	(void)note_names(action, &names);
	if (!names.is_plain)
		return;
	ListCell *cell;
	foreach (cell, names.tables)
		(void)RangeVarGetRelid(lfirst_node(RangeVar, cell), NoLock, false);
	if (names.missing)
		refuse(ERRCODE_UNDEFINED_COLUMN, "column %s.%s does not exist",
			   strVal(linitial(names.missing->fields)), strVal(lsecond(names.missing->fields)));
	if (create->event == CMD_INSERT && names.old_used)
		refuse(ERRCODE_INVALID_OBJECT_DEFINITION, "ON INSERT rule cannot use OLD");
	if (create->event == CMD_DELETE && names.new_used)
		refuse(ERRCODE_INVALID_OBJECT_DEFINITION, "ON DELETE rule cannot use NEW");
}

} // namespace

void check_rule(const RuleStmt *create, const char *sql)
{
	Relation relation = relation_openrv(create->relation, AccessShareLock);
	const char *name = RelationGetRelationName(relation);
	check_kind(relation);
	check_where(create, relation, sql);
	ListCell *cell;
	foreach (cell, create->actions)
		check_action(create, relation, static_cast<Node *>(lfirst(cell)));
	if (create->event != CMD_SELECT && strcmp(create->rulename, ViewSelectRuleName) == 0)
		refuse(ERRCODE_INVALID_OBJECT_DEFINITION,
			   "non-view rule for \"%s\" must not be named \"%s\"", name, create->rulename);
	if (create->event != CMD_SELECT && !create->replace &&
		IsDefinedRewriteRule(RelationGetRelid(relation), create->rulename))
		refuse(ERRCODE_DUPLICATE_OBJECT, "rule \"%s\" for relation \"%s\" already exists",
			   create->rulename, name);
	relation_close(relation, NoLock);
}

} // namespace safe_migrate::operations::apply
