// The texts that a user hands to backfill() and delete_safely(), parsed on their own by the
// server's raw parser: nothing here is pasted into a larger statement.  Errors of the parser and
// of parse analysis show the user's own string and the position in it.
#pragma once
#include "operations/user_text.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "nodes/parsenodes.h"
}

namespace safe_migrate::operations::backfill {

UserText assignments_text(const char *text);
// `column = (fill)`
UserText fill_text(const char *column, const char *fill);
UserText predicate_text(const char *text);

struct ParsedAssignments {
	List *targets;			 // of ResTarget, as in UpdateStmt.targetList
	Bitmapset *from_one_row; // indexes of those that share a sub-select, which is to run once each
};

// `text` as an UPDATE SET list, in which (a, b) = (SELECT …) has become one sub-select a column.
// 42601 for anything else than a list.  Call between enter() and leave().
ParsedAssignments parse_assignments(const UserText &text);

// `text` as one expression.  42601 for anything else.
Node *parse_expression(const UserText &text);

} // namespace safe_migrate::operations::backfill
