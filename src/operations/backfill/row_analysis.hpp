// From the texts that a job stores to analysed queries on one leaf.
#pragma once
#include "operations/backfill/definition.hpp"
#include "operations/backfill/leaf_columns.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "nodes/parsenodes.h"
}

namespace safe_migrate::operations::backfill {

// SELECT <new row, a column per attribute of the leaf>, ctid, (predicate over the new
// row) IS TRUE FROM ONLY leaf WHERE ctid >= $1 AND ctid <= $2 AND (predicate).
// When rows are erased: SELECT ctid alone.  New values are computed once, before the
// predicate sees them.  Errors: those of parse analysis.
Query *analyse_row_query(const Definition &definition, const LeafColumns &columns, Relation leaf);

// UPDATE ONLY leaf SET … WHERE ctid = ANY ($1) AND (predicate) RETURNING ctid, (predicate)
// IS TRUE; when rows are erased: DELETE … RETURNING ctid, false.  Where the assignments contain
// volatile functions it takes the values that the row query has computed: $2 is an array of
// records, one for each row of $1, with a field for each assignment.
Query *analyse_write_query(const Definition &definition, const LeafColumns &columns, Relation leaf,
						   bool *takes_values);

// Does the definition, its objects under the names that they have now, mean what the query on the
// root does?  Errors: those of parse analysis, and 42704 where an object is gone.
bool means_the_same(const Definition &definition, Relation root, const Query *query);

// Parses text as exactly one expression and nothing else: error 42601 otherwise.
Node *parse_single_expression(const char *text);

} // namespace safe_migrate::operations::backfill
