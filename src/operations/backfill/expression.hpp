// Questions to an analysed expression over the target, which is range table entry 1.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "nodes/bitmapset.h"
#include "nodes/nodes.h"
#include "parser/parse_node.h"
#include "utils/relcache.h"
}

namespace safe_migrate::operations::backfill {

// Columns of the target that it reads, also from within sub-selects; offset by
// FirstLowInvalidHeapAttributeNumber, member 0 of the attribute numbers is the whole row.
Bitmapset *columns_read(Node *expression);

// The same, and what generated columns among them are made of; a whole row is every column.
Bitmapset *columns_depended_on(Node *expression, Relation target);

// Error where it reads a system column other than tableoid, which a job moves under its own feet,
// or a temporary object, which no worker sees.  `state` gives the position, with `raw`, a copy of
// the raw tree that the analysis has not been at.
void check_expression(ParseState *state, Node *expression, Node *raw);

// Does it call volatile functions that are not the server's own?  Such ones may read what the same
// statement has written already.
bool may_read_own_changes(Node *query);

// May it read rows of these relations: in a sub-select, through a view or a function?
bool may_read(Node *expression, const List *relations);

// Does it read rows of them in a sub-select?
bool reads_rows_of(Node *expression, const List *relations);

// Do two expressions mean the same, names of range table entries and columns aside?
bool same_meaning(Node *a, Node *b);

} // namespace safe_migrate::operations::backfill
