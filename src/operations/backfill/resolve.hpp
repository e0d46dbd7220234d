// From the user's texts to a Definition: analysed once in the caller's search_path, checked, and
// deparsed so that it means the same under an empty one.
#pragma once
#include "operations/backfill/definition.hpp"
#include "operations/backfill/validate.hpp"

extern "C" {
#include "nodes/parsenodes.h"
}

namespace safe_migrate::operations::backfill {

struct Request {
	RowAction action;
	const char *assignments; // nullptr when action is erase
	const char *predicate;	 // nullptr: rows where an assigned column is NULL
	bool fire_triggers;
	const char *filled = nullptr; // column of which `assignments` is the value, and nothing else
};

// What came out.  Column sets are offset by FirstLowInvalidHeapAttributeNumber.
struct Resolved {
	Definition *definition;
	Query *query;		 // the stored texts analysed again: UPDATE or DELETE on the root
	Bitmapset *assigned; // columns written
	Bitmapset *selected; // columns read
};

// Errors: the server's own for what it can't parse or analyse (with their positions in the user's
// text); 428C9 and 22023 for what a job can't do, 0A000 for that and where the stored text would
// not mean the same.
Resolved resolve(const Request &request, const Target &target);

// A definition as the query that a single statement would be, on the root, analysed afresh under
// the path it was stored for.  The names in it are taken as they are.
Query *analyse(const Definition &definition, Relation root);

// Without a predicate only NULLs are filled: 22023 where no assigned column can hold one, a NOTICE
// for those among several that can't.
void check_nullable(const Resolved &resolved, const Target &target);

} // namespace safe_migrate::operations::backfill
