// Runs one slice (a block range of one leaf) of a backfill or purge in short
// transactions.  The runner owns no transaction: the caller starts one, pushes
// nothing, calls run_batch(), writes its bookkeeping and commits; between two calls
// no lock, pin or snapshot is held.  State lives in the memory context given to
// create(), so it survives aborts: after an error the caller calls batch_aborted()
// and may go on.
#pragma once
#include "operations/backfill/definition.hpp"
#include "operations/backfill/own_writes.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "storage/block.h"
#include "storage/itemptr.h"
}

namespace safe_migrate::operations::backfill {

struct BatchTotals {
	int64 rows_matched;	  // rows that satisfied the predicate when looked at
	int64 rows_written;	  // updated or deleted
	int64 rows_hot;		  // of those, heap-only updates
	int64 rows_locked;	  // left alone since another transaction holds or changed them
	int64 rows_unmatched; // left alone since the new row would still satisfy the predicate
	int64 rows_kept;	  // a BEFORE trigger returned NULL
	int64 rows_old;		  // of those written, older than BatchLimits.old_before
	int64 rows_again;	  // of those written, last written by the job, too
	int64 rows_thrice;	  // of these, by a batch that had written such rows
	int64 pages_visited;
};

enum class BatchEnd : uint8_t {
	more,			 // go on: call again in a new transaction
	wait_horizon,	 // every open page waits for the xmin horizon to pass horizon_xid
	finished,		 // the whole range has been seen, nothing more to do here in this pass
	relation_changed // the leaf's file (or its existence) changed: the caller starts the leaf again
};

struct BatchResult {
	BatchEnd end;
	BatchTotals totals;
	BlockNumber cursor;	 // all blocks of the slice before this one are finished
	BlockNumber reached; // as much is done as if all before this one were: open pages in parts
	TransactionId
		horizon_xid; // with wait_horizon: the transaction that must become invisible to all
	ItemPointerData
		locked_sample; // with rows_locked > 0: one of them, and the transaction that holds it
	TransactionId locked_by;
	char *unmatched_sample; // with rows_unmatched > 0 the first time: "(0,1)", palloc'd
};

struct BatchLimits {
	int64 target_us;	 // aim of one batch; it commits what it has at twice that at the latest
	bool page_filling;	 // false: write every row of a page at once (the horizon does not move)
	int lock_timeout_ms; // for FK checks and triggers that may wait
	int64 wal_piece;	 // WAL that may stay unflushed meanwhile, in bytes; 0 = any
	TransactionId old_before; // for rows_old; invalid: none is
	const OwnWrites *own;	  // for rows_again; nullptr: none is
};

class SliceRunner; // opaque, allocated in `context`

SliceRunner *create(MemoryContext context, const Definition &definition, Oid leaf,
					BlockNumber first_block, BlockNumber end_block, Oid relfilenumber);
// One batch in the caller's open transaction. Raises the server's errors.
BatchResult run_batch(SliceRunner *runner, const BatchLimits &limits);
// As a batch begins, and no further: raises the error that one would end with for want of the table
// or of rights.  Where the table's locks are not free nothing is looked at.
void check(SliceRunner *runner);
// The caller's transaction committed / aborted: open pages move on / are tried again.
void batch_committed(SliceRunner *runner);
void batch_aborted(SliceRunner *runner);
// Frees everything, outside or inside a transaction.
void destroy(SliceRunner *runner);

} // namespace safe_migrate::operations::backfill
