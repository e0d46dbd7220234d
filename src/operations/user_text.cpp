// See user_text.hpp.
#include "operations/user_text.hpp"

extern "C" {
#include "mb/pg_wchar.h"
#include "parser/parser.h"
}

namespace safe_migrate::operations {

namespace {

// Mirrors sql_exec_error_callback() of functions.c: the error is one of an internal query.
void on_error(void *arg)
{
	auto *text = static_cast<const UserText *>(arg);
	int position = geterrposition();
	if (position > text->prefix_length) {
		errposition(0);
		internalerrposition(position - text->prefix_length);
		internalerrquery(text->text);
	}
	errcontext("argument \"%s\"", text->argument);
}

} // namespace

void UserText::enter()
{
	callback.callback = on_error;
	callback.arg = this;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
}

void UserText::leave() { error_context_stack = callback.previous; }

UserText user_text(const char *argument, const char *prefix, const char *text)
{
	return {argument, text, psprintf("%s%s", prefix, text), static_cast<int>(strlen(prefix)), {}};
}

// Mirrors parser_errposition().
int position_of(const UserText &text, int location)
{
	if (location < 0)
		return 0;
	return errposition(pg_mbstrlen_with_len(text.source, location) + 1);
}

namespace {

// Before 18 a statement's location is that of the white space before it.
int start_of_second(const UserText &text, List *statements)
{
	if (list_length(statements) < 2)
		return text.prefix_length;
	int location = lsecond_node(RawStmt, statements)->stmt_location;
	return location + static_cast<int>(strspn(text.source + location, " \t\r\n"));
}

} // namespace

Node *parse_statement(const UserText &text, Refuse refuse)
{
	List *statements = raw_parser(text.source, RAW_PARSE_DEFAULT);
	if (list_length(statements) != 1)
		refuse(text, start_of_second(text, statements));
	return linitial_node(RawStmt, statements)->stmt;
}

AlterTableCmd *parse_command(const UserText &text, Refuse refuse)
{
	Node *statement = parse_statement(text, refuse);
	if (!IsA(statement, AlterTableStmt))
		refuse(text, text.prefix_length);
	const auto *alter = castNode(AlterTableStmt, statement);
	if (list_length(alter->cmds) != 1)
		refuse(text, text.prefix_length);
	return linitial_node(AlterTableCmd, alter->cmds);
}

} // namespace safe_migrate::operations
