// See script.hpp.
#include "operations/apply/script.hpp"

#include "operations/user_text.hpp"
#include "pg/compat_alter.hpp"

extern "C" {
#include "common/keywords.h"
#include "lib/stringinfo.h"
#include "parser/parser.h"
#include "parser/scanner.h"
#include "parser/scansup.h"
}

namespace safe_migrate::operations::apply {

namespace {

char *trimmed(const char *text, int length)
{
	while (length > 0 && scanner_isspace(*text)) {
		text++;
		length--;
	}
	while (length > 0 && scanner_isspace(text[length - 1]))
		length--;
	return pnstrdup(text, static_cast<Size>(length));
}

// ---------------------------------------------------------------- sub-commands of ALTER TABLE

struct Scan {
	core_yy_extra_type extra;
	core_YYSTYPE value;
	YYLTYPE location;
	core_yyscan_t scanner;
	int token;

	void next() { token = core_yylex(&value, &location, scanner); }
};

// From the table's name to where the first sub-command begins: name, dots, "*", a bracket.
void skip_name(Scan *scan)
{
	scan->next();
	scan->next();
	while (scan->token == '.') {
		scan->next();
		scan->next();
	}
	while (scan->token == '*' || scan->token == ')')
		scan->next();
}

// Texts of the sub-commands, which commas outside of brackets part.
List *split(const char *sql, int name_location, int *prefix_length)
{
	Scan scan = {};
	scan.scanner = scanner_init(sql + name_location, &scan.extra, &ScanKeywords, ScanKeywordTokens);
	skip_name(&scan);
	int begin = name_location + scan.location;
	*prefix_length = begin;
	List *parts = NIL;
	int depth = 0;
	for (; scan.token != 0; scan.next()) {
		if (scan.token == '(' || scan.token == '[')
			depth++;
		else if (scan.token == ')' || scan.token == ']')
			depth--;
		else if (depth == 0 && scan.token == ',') {
			int comma = name_location + scan.location;
			parts = lappend(parts, trimmed(sql + begin, comma - begin));
			begin = comma + 1;
		}
	}
	scanner_finish(scan.scanner);
	return lappend(parts, trimmed(sql + begin, static_cast<int>(strlen(sql + begin))));
}

Node *parse_one(const char *sql)
{
	return linitial_node(RawStmt, raw_parser(sql, RAW_PARSE_DEFAULT))->stmt;
}

// The order of ATPrepCmd()'s passes.
int pass_of(const AlterTableCmd *command)
{
	switch (command->subtype) {
		case AT_DropColumn:
		case AT_DropConstraint:
		case AT_DropNotNull:
		case AT_DropExpression:
		case AT_DropIdentity:
		case AT_DropOids:
			return 0;
		case AT_ColumnDefault:
			return command->def ? 5 : 0;
		case AT_AlterColumnType:
			return 1;
		case AT_AddColumn:
			return 2;
		case AT_SetNotNull:
			return 3;
		case AT_AddConstraint:
			return castNode(Constraint, command->def)->contype == CONSTR_PRIMARY ||
						   castNode(Constraint, command->def)->contype == CONSTR_UNIQUE
					   ? 4
					   : 5;
		case AT_AddIdentity:
			return 5;
		default:
			return pg::is_set_expression(command) ? 1 : 6;
	}
}

int compare_passes(const ListCell *a, const ListCell *b)
{
	const auto *first = static_cast<const Unit *>(lfirst(a));
	const auto *second = static_cast<const Unit *>(lfirst(b));
	auto command = [](const Unit *unit) {
		return linitial_node(AlterTableCmd, castNode(AlterTableStmt, unit->statement)->cmds);
	};
	int difference = pass_of(command(first)) - pass_of(command(second));
	return difference != 0 ? difference : (first->sql < second->sql ? -1 : 1);
}

Unit *new_unit(const char *sql, Node *statement, int number)
{
	auto *unit = static_cast<Unit *>(palloc(sizeof(Unit)));
	*unit = {sql, statement, number, false, NIL};
	return unit;
}

[[noreturn]] void cannot_split(int number)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("the sub-commands of statement %d can't be told apart", number),
					errhint("Write one ALTER TABLE for each of them.")));
	pg_unreachable();
}

List *split_alter_table(const char *sql, AlterTableStmt *alter, int number)
{
	int prefix_length = 0;
	List *texts = split(sql, alter->relation->location, &prefix_length);
	if (list_length(texts) != list_length(alter->cmds))
		cannot_split(number);
	// one text for all: their order in memory is that in the statement
	char *prefix = trimmed(sql, prefix_length);
	const char *space = strstr(prefix, "--") ? "\n" : " "; // a comment ends with its line
	StringInfoData all;
	initStringInfo(&all);
	List *offsets = NIL;
	ListCell *cell, *command;
	foreach (cell, texts) {
		offsets = lappend_int(offsets, all.len);
		appendStringInfo(&all, "%s%s%s", prefix, space, static_cast<const char *>(lfirst(cell)));
		appendStringInfoChar(&all, '\0');
	}
	List *units = NIL;
	forboth(cell, offsets, command, alter->cmds)
	{
		const char *text = all.data + lfirst_int(cell);
		Node *statement = parse_one(text);
		if (!IsA(statement, AlterTableStmt))
			cannot_split(number);
		auto *one = castNode(AlterTableStmt, statement);
		if (list_length(one->cmds) != 1 || !equal(linitial(one->cmds), lfirst(command)))
			cannot_split(number);
		units = lappend(units, new_unit(text, statement, number));
	}
	list_sort(units, compare_passes);
	return units;
}

} // namespace

namespace {

void on_error(void *arg)
{
	const Unit *unit = static_cast<const UnitContext *>(arg)->unit;
	errcontext("statement %d of argument \"%s\"", unit->number, "ddl");
}

} // namespace

void UnitContext::enter(const Unit &about, const List *script)
{
	unit = &about;
	callback = {error_context_stack, on_error, this};
	if (list_length(script) > 1)
		error_context_stack = &callback;
}

void UnitContext::leave() { error_context_stack = callback.previous; }

const char *text_after_add(const Unit &unit)
{
	int name_location = castNode(AlterTableStmt, unit.statement)->relation->location;
	Scan scan = {};
	scan.scanner =
		scanner_init(unit.sql + name_location, &scan.extra, &ScanKeywords, ScanKeywordTokens);
	skip_name(&scan);
	int first = name_location + scan.location;
	scan.next();
	const char *rest = scan.token != 0 ? unit.sql + name_location + scan.location : nullptr;
	scanner_finish(scan.scanner);
	return pg_strncasecmp(unit.sql + first, "add", 3) == 0 ? rest : nullptr;
}

Unit *read_unit(const char *sql, int number)
{
	Unit *unit = new_unit(sql, parse_one(sql), number);
	if (IsA(unit->statement, AlterTableStmt) &&
		list_length(castNode(AlterTableStmt, unit->statement)->cmds) > 1)
		unit->parts = split_alter_table(sql, castNode(AlterTableStmt, unit->statement), number);
	return unit;
}

List *read_script(const char *ddl)
{
	UserText text = user_text("ddl", "", ddl);
	text.enter();
	List *statements = raw_parser(ddl, RAW_PARSE_DEFAULT);
	List *units = NIL;
	int number = 0;
	ListCell *cell;
	foreach (cell, statements) {
		const RawStmt *raw = lfirst_node(RawStmt, cell);
		const char *begin = ddl + raw->stmt_location;
		int length = raw->stmt_len > 0 ? raw->stmt_len : static_cast<int>(strlen(begin));
		char *sql = trimmed(begin, length);
		number++;
		units = lappend(units, read_unit(sql, number));
	}
	text.leave();
	if (units == NIL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("argument \"%s\" holds no statement", "ddl")));
	return units;
}

} // namespace safe_migrate::operations::apply
