// What an UPDATE, DELETE or MERGE changes, as it is written.
#pragma once
#include "pg/postgres.hpp"
#include "statement/effects.hpp"

extern "C" {
#include "nodes/parsenodes.h"
}

namespace safe_migrate::statement::overlay {

struct Change {
	CmdType command;
	Cause cause;
	const RangeVar *target;
	Node *where;
	List *others; // FROM, USING
	Node *source; // of a MERGE, with its condition as where
	WithClause *with;
	bool is_all;		// a MERGE that has its way with rows that match and with all others
	bool any_unmatched; // it has its way with some that don't match
	bool adds_only;		// a MERGE that touches no row that is there
	int64 *touched;		// by the statement's parts up to here
};

// False: the statement is none.
bool change_of(Node *node, Change *change);

// nullptr: it has none, or can have none.
WithClause *with_of(Node *node);

// The query that a utility statement carries out.
Node *query_of(Node *node);

} // namespace safe_migrate::statement::overlay
