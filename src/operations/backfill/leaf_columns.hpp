// How the columns that a job assigns appear in one leaf: a partition or inheritance
// child may number them differently, and columns may have been renamed or added since
// the job was queued.
#pragma once
#include "operations/backfill/definition.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "nodes/bitmapset.h"
#include "nodes/primnodes.h"
#include "utils/rel.h"
}

namespace safe_migrate::operations::backfill {

// All palloc'd in the context that was current at map_columns().
struct LeafColumns {
	int natts;
	int n_assigned;
	AttrNumber *assigned;	 // by assignment: its column in the leaf
	Node **generated;		 // by attno - 1: expression of a generated column that depends on
							 // an assigned one, in terms of the leaf's columns; else nullptr
	Bitmapset *assigned_set; // offset by FirstLowInvalidHeapAttributeNumber
	Bitmapset *changed_set;	 // assigned and generated from assigned
};

// Errors: 42703 when an assigned column is gone.
LeafColumns map_columns(const Definition &definition, Relation leaf);

} // namespace safe_migrate::operations::backfill
