// The slices of a step: block ranges of the leaves, cut anew for each pass.  All need a
// transaction of the caller's.
#pragma once
#include "jobs/job.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "access/transam.h"
#include "storage/block.h"
}

namespace safe_migrate::operations::backfill {

struct BatchTotals;

struct Slice {
	int slice_no;
	Oid relation;
	Oid relfilenumber;
	BlockNumber first_block, end_block, cursor_block;
	int pass;
	FullTransactionId begun; // by then the step's first pass was begun; invalid: unknown
};

struct SliceList {
	int n;
	Slice *slices; // palloc'd
};

struct PassTotals {
	int slices_open;
	int64 rows_written, rows_old, rows_again, rows_thrice, rows_locked, rows_unmatched, rows_kept;
	int64 blocks_total, blocks_done;
	char *sample;			 // a row that could not be written and why, palloc'd; nullptr = none
	TransactionId locked_by; // that row; invalid: not for a lock
	FullTransactionId begun; // of the slices
};

// The tables that hold the relation's rows: itself, or its leaves. Error 42P01 when it is gone.
struct Leaves {
	int n;
	Oid *oids;
	Oid *relfilenumbers; // as of now
};
Leaves find_leaves(Oid relation);
// InvalidOid where it is not among them.
Oid file_of(const Leaves &leaves, Oid leaf);

// Is a leaf still a part of it?  Not where a partition above it is detached, or is about to be.
bool is_part_of(Oid leaf, Oid relation);

// Cuts all leaves into slices for `pass`, which become the step's only ones; the counts of the
// pass before are kept with the step.
void cut_slices(jobs::JobId job, int step_no, int pass, const Leaves &leaves, int workers);
// Cuts one leaf again since its file changed; slices of it that are up to date stay.
void cut_leaf_again(jobs::JobId job, int step_no, Oid leaf, int workers);

// Ends the open slices of a leaf that does not belong to the relation any more; false where others
// have done that.
bool leave_out(jobs::JobId job, int step_no, Oid leaf);
// Such leaves have not been read: their files are forgotten, should they belong to it again.
void forget_left_out(jobs::JobId job, int step_no, Leaves *leaves);

SliceList open_slices(jobs::JobId job, int step_no);
// As stored now; false when it is done or gone.
bool reload_slice(jobs::JobId job, int step_no, Slice *slice);
// False, and nothing is stored, when it is not the slice that was read any more: whose claim an
// abort has lost may find it done by another worker, its number given to a slice of the next pass
// or of the leaf's new file.
bool save_slice(jobs::JobId job, int step_no, const Slice &slice, BlockNumber cursor, bool done,
				const BatchTotals &added, const char *sample, TransactionId locked_by);
PassTotals pass_totals(jobs::JobId job, int step_no);

} // namespace safe_migrate::operations::backfill
