// A text that a user hands to one of the functions, parsed on its own by the server's raw parser.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "nodes/parsenodes.h"
}

namespace safe_migrate::operations {

// One text under analysis.  `source` is what the parser saw: `prefix_length` bytes of ours (ASCII)
// and then `text`.  enter() puts an error context up which turns errors' positions into positions
// in `text`, and names the argument; leave() takes it down.  Trivially destructible: an error's
// abort resets the context stack.
struct UserText {
	const char *argument; // "assignments", "definition": as in the function's signature
	const char *text;
	const char *source;
	int prefix_length;
	ErrorContextCallback callback;

	void enter();
	void leave();
};

// `prefix` and then `text`, as the parser will see them.
UserText user_text(const char *argument, const char *prefix, const char *text);

// Mirrors parser_errposition(), for a location in `source`.
int position_of(const UserText &text, int location);

// Raises the error that the text is not what it must be, with the position of that in `source`.
using Refuse = void (*)(const UserText &text, int location);

// The one statement that `source` is; of ALTER TABLE its one sub-command.  Where it is anything
// else: refuse(), at the second statement where there are several.  Errors of the parser.
Node *parse_statement(const UserText &text, Refuse refuse);
AlterTableCmd *parse_command(const UserText &text, Refuse refuse);

} // namespace safe_migrate::operations
