// A statement asks its condition once of each row; a job asks it of all rows again until none
// matches.  What that makes another thing of.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "nodes/nodes.h"
#include "nodes/pg_list.h"
#include "parser/parse_node.h"
}

namespace safe_migrate::operations::backfill {

// Errors 0A000 where the predicate would come to match more and more rows: where it decides by
// chance (random(), TABLESAMPLE, …), or takes a number of rows (IN (SELECT … LIMIT n)) of the
// relations, whose rows the job writes.  `state` gives the position.
void check_asked_again(ParseState *state, Node *predicate, const List *relations);

// NOTICEs where it may: it reads these relations in a sub-select, or calls a volatile function that
// is not the server's own.
void note_asked_again(Node *predicate, const List *relations);

} // namespace safe_migrate::operations::backfill
