// See parse.hpp.
#include "operations/backfill/parse.hpp"

#include "pg/compat_analysis.hpp"

extern "C" {
#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parser.h"
#include "utils/builtins.h"
}

namespace safe_migrate::operations::backfill {

namespace {

void not_a_list(const UserText &text, int location)
{
	ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR),
					errmsg("assignments must be a list as in UPDATE ... SET, and nothing else"),
					errhint("For example: 'status_v2 = upper(status), seen = true'."),
					position_of(text, location)));
}

// SET b = …: which is no list either way, also where a column has that name.
void refuse_set(const UserText &text)
{
	const char *space = " \t\r\n";
	const char *word = text.text + strspn(text.text, space);
	if (pg_strncasecmp(word, "set", 3) != 0)
		return;
	const char *next = word + 3 + strspn(word + 3, space);
	if (next > word + 3 && (isalpha(static_cast<unsigned char>(*next)) || *next == '"'))
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("assignments must be a list as in UPDATE ... SET, and nothing else"),
				 errhint("Leave out the word SET."),
				 position_of(text, text.prefix_length + static_cast<int>(word - text.text))));
}

[[noreturn]] void not_an_expression(const UserText &text, int location)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_SYNTAX_ERROR),
		 strcmp(text.argument, "predicate") == 0
			 ? errmsg("the predicate must be one condition as in WHERE, and nothing else")
			 : errmsg("argument \"%s\" must be one expression, and nothing else", text.argument),
		 position_of(text, location)));
	pg_unreachable();
}

// (SELECT s.c<n> FROM (<sub-select>) AS s(c1, …)): what the n-th column gets.
Node *nth_of_subselect(const SubLink *link, int n, int of)
{
	List *names = NIL;
	for (int i = 1; i <= of; i++)
		names = lappend(names, makeString(psprintf("c%d", i)));
	RangeSubselect *from = makeNode(RangeSubselect);
	from->subquery = static_cast<Node *>(copyObjectImpl(link->subselect));
	from->alias = makeAlias("s", names);

	ColumnRef *column = makeNode(ColumnRef);
	column->fields = list_make2(makeString(pstrdup("s")), makeString(psprintf("c%d", n)));
	column->location = -1;
	ResTarget *target = makeNode(ResTarget);
	target->val = reinterpret_cast<Node *>(column);
	target->location = -1;

	SelectStmt *select = makeNode(SelectStmt);
	select->targetList = list_make1(target);
	select->fromClause = list_make1(from);
	SubLink *one = makeNode(SubLink);
	one->subLinkType = EXPR_SUBLINK;
	one->subselect = reinterpret_cast<Node *>(select);
	one->location = link->location;
	return reinterpret_cast<Node *>(one);
}

bool picks_rows_by_chance(const SelectStmt *select)
{
	if (select->limitCount != nullptr || select->limitOffset != nullptr ||
		select->lockingClause != NIL || select->distinctClause != NIL)
		return true;
	return (select->larg != nullptr && picks_rows_by_chance(select->larg)) ||
		   (select->rarg != nullptr && picks_rows_by_chance(select->rarg));
}

int visible_columns(const SelectStmt *select)
{
	while (select->larg != nullptr)
		select = select->larg;
	if (select->valuesLists != NIL)
		return list_length(linitial_node(List, select->valuesLists));
	ListCell *lc;
	foreach (lc, select->targetList) {
		Node *value = lfirst_node(ResTarget, lc)->val;
		if (IsA(value, ColumnRef) && IsA(llast(castNode(ColumnRef, value)->fields), A_Star))
			return -1; // only parse analysis knows
		if (IsA(value, A_Indirection))
			return -1;
	}
	return list_length(select->targetList);
}

// Each column's sub-select runs by itself: they have to find the same row.
void check_subselect(const UserText &text, const SubLink *link, int columns)
{
	auto *select = castNode(SelectStmt, link->subselect);
	if (picks_rows_by_chance(select))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a sub-select for several columns can't have DISTINCT, LIMIT, OFFSET or a "
						"locking clause"),
				 errdetail("It runs once for each column, and has to find the same row each time."),
				 errhint("Assign each column from a sub-select of its own."),
				 position_of(text, link->location)));
	int visible = visible_columns(select);
	if (visible < 0)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("a sub-select for several columns has to name its columns"),
						position_of(text, link->location)));
	if (visible != columns)
		ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR),
						errmsg("number of columns does not match number of values"),
						position_of(text, link->location)));
}

// Parse analysis makes a MULTIEXPR of (a, b) = (SELECT …), which has no form as an expression.
Bitmapset *split_subselects(const UserText &text, List *targets)
{
	Bitmapset *split = nullptr;
	ListCell *lc;
	foreach (lc, targets) {
		auto *target = lfirst_node(ResTarget, lc);
		if (!IsA(target->val, MultiAssignRef))
			continue;
		auto *ref = castNode(MultiAssignRef, target->val);
		if (!IsA(ref->source, SubLink) ||
			castNode(SubLink, ref->source)->subLinkType != EXPR_SUBLINK)
			continue;
		auto *link = castNode(SubLink, ref->source);
		if (ref->colno == 1)
			check_subselect(text, link, ref->ncolumns);
		target->val = nth_of_subselect(link, ref->colno, ref->ncolumns);
		split = bms_add_member(split, foreach_current_index(lc));
	}
	return split;
}

} // namespace

UserText assignments_text(const char *text)
{
	return user_text("assignments", "UPDATE x SET ", text);
}

UserText fill_text(const char *column, const char *fill)
{
	const char *prefix = psprintf("UPDATE x SET %s = (", quote_identifier(column));
	// a comment at its end must not take the parenthesis along
	UserText text = user_text("fill", prefix, psprintf("%s\n)", fill));
	text.text = fill;
	text.prefix_length = pg_mbstrlen(prefix); // positions are in characters
	return text;
}

UserText predicate_text(const char *text) { return user_text("predicate", "", text); }

ParsedAssignments parse_assignments(const UserText &text)
{
	refuse_set(text);
	Node *statement = parse_statement(text, not_a_list);
	if (!IsA(statement, UpdateStmt))
		not_a_list(text, text.prefix_length);
	auto *update = castNode(UpdateStmt, statement);
	if (update->whereClause != nullptr)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR), errmsg("assignments can't hold a WHERE clause"),
				 errhint("Put the condition into the argument \"predicate\"."),
				 position_of(text, exprLocation(update->whereClause))));
	if (update->fromClause != NIL || pg::has_returning(update) || update->withClause != nullptr)
		not_a_list(text, update->fromClause != NIL
							 ? exprLocation(static_cast<Node *>(linitial(update->fromClause)))
							 : -1);
	return {update->targetList, split_subselects(text, update->targetList)};
}

Node *parse_expression(const UserText &text)
{
	List *statements = raw_parser(text.source, RAW_PARSE_PLPGSQL_EXPR);
	auto *select = castNode(SelectStmt, linitial_node(RawStmt, statements)->stmt);
	if (list_length(select->targetList) != 1)
		not_an_expression(text, list_length(select->targetList) < 2
									? 0
									: lsecond_node(ResTarget, select->targetList)->location);
	if (select->distinctClause != NIL || select->windowClause != NIL ||
		select->lockingClause != NIL)
		not_an_expression(text, -1);
	Node *const others[] = {reinterpret_cast<Node *>(select->fromClause),
							select->whereClause,
							reinterpret_cast<Node *>(select->groupClause),
							select->havingClause,
							reinterpret_cast<Node *>(select->sortClause),
							select->limitOffset,
							select->limitCount};
	for (Node *other : others)
		if (other != nullptr)
			not_an_expression(text, exprLocation(other));
	auto *target = linitial_node(ResTarget, select->targetList);
	if (target->name != nullptr || target->indirection != NIL)
		not_an_expression(text, -1);
	if (IsA(target->val, ColumnRef) && IsA(llast(castNode(ColumnRef, target->val)->fields), A_Star))
		not_an_expression(text, castNode(ColumnRef, target->val)->location);
	return target->val;
}

} // namespace safe_migrate::operations::backfill
