// The planned statement that finds the rows of a page and computes their new versions.
// One per leaf and worker; it is planned again when a relation, function or type that it
// depends on may have changed.
#pragma once
#include "operations/backfill/leaf_columns.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "executor/executor.h"
#include "nodes/params.h"
#include "nodes/plannodes.h"
#include "storage/block.h"
#include "storage/itemptr.h"
#include "storage/off.h"
}

namespace safe_migrate::operations::backfill {

struct RowQuery {
	MemoryContext context;	 // plan and column map; child of the runner's, reset to plan again
	PlannedStmt *plan;		 // nullptr: not planned yet
	PlannedStmt *write_plan; // of the statement that writes by row id; planned when first needed
	LeafColumns columns;
	Oid root;				  // the table that the job names
	bool reads_own_changes;	  // its functions, or those of constraints, may read rows just written
	bool depends_on_row_only; // whether a row matches: no sub-select, no function that is not
							  // immutable
	bool write_takes_values;  // that statement is given what this query has computed
	uint64 planned_at;		  // catalog_changes() when planned

	// During a batch.
	ParamListInfo bounds;
	ItemPointerData first, last;
	QueryDesc *running;
};

// What the query says of a row.
struct RowCandidate {
	ItemPointerData tid;
	Datum *values; // of the new version, by attno - 1; valid until the next row
	bool *nulls;
	bool still_matches; // the predicate holds for the new version too
};

// Counts catalog invalidations that may make a plan stale.
uint64 catalog_changes();

// Plans if need be; locks the relations of sub-selects. The leaf is open and locked.
void prepare(RowQuery &query, MemoryContext parent, const Definition &definition, Relation leaf);
// Plans the UPDATE or DELETE by row id; after prepare().
void prepare_write(RowQuery &query, const Definition &definition, Relation leaf);
// Starts the executor on the active snapshot: checks permissions.
void start(RowQuery &query);
// Looks at the rows of `block` with offsets first … last, both included, from now on.
void scan_page(RowQuery &query, BlockNumber block, OffsetNumber first, OffsetNumber last);
bool next_row(RowQuery &query, RowCandidate *row);
void finish(RowQuery &query);

} // namespace safe_migrate::operations::backfill
