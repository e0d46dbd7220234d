// Index entries of the row versions that left their page, collected over a batch and
// inserted before its commit in the order of each index's keys, so that neighbours meet
// in the same leaf page while it is hot.  B-trees only; other access methods get their
// entries as the rows come.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "access/genam.h"
#include "executor/executor.h"
#include "nodes/execnodes.h"
#include "utils/tuplesort.h"
}

namespace safe_migrate::operations::backfill {

struct IndexTarget {
	Relation index;
	IndexInfo *info;
	IndexUniqueCheck check;
	bool deferred;
	Tuplesortstate *sorted; // nullptr until the first entry
};

struct IndexBatch {
	Relation table;
	EState *estate;
	IndexTarget *targets;
	int n_targets;
	int64 pending; // entries to insert at flush()
};

// `result` has its indexes open. `changed` are the columns that may differ from the old
// version, offset by FirstLowInvalidHeapAttributeNumber.
void begin(IndexBatch &batch, ResultRelInfo *result, EState *estate, const Bitmapset *changed,
		   bool defer);
// An entry in each index for the version in `slot`, whose tts_tid says where it is.
void add_entries(IndexBatch &batch, TupleTableSlot *slot, bool summarizing_only);
void flush(IndexBatch &batch);

} // namespace safe_migrate::operations::backfill
