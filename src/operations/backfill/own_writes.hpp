// Which rows has the job itself written?  Where its texts read the table, what it writes may make
// rows match again that it has written before.  So the transactions of such a job's batches are
// stored: a row whose version comes from one of them was last written by the job and has been
// changed by nobody since.  Those that wrote such rows again are kept apart: what they have written
// was, by and large, written twice.
#pragma once
#include "jobs/job.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "access/transam.h"
#include "nodes/pg_list.h"
}

namespace safe_migrate::operations::backfill {

// Transactions of batches, in the order of their numbers.
struct XidSet {
	int n;
	TransactionId *xids;
	bool has(TransactionId xid) const
	{
		int low = 0;
		for (int high = n; low < high;) {
			int middle = low + (high - low) / 2;
			if (xids[middle] < xid)
				low = middle + 1;
			else
				high = middle;
		}
		return low < n && xids[low] == xid;
	}
};

struct OwnWrites {
	MemoryContext memory; // child of the step's
	int pass;			  // the sets are of all passes before it; 0 = none was read
	XidSet once, again;
};

// Adds what a slice's batches were since it was last saved; needs a transaction of the caller's.
void store_own_writes(jobs::JobId job, int step_no, const List *once, const List *again);
void load_own_writes(jobs::JobId job, int step_no, int pass, OwnWrites *writes);
// Where the step is done nobody asks for them any more.
void forget_own_writes(jobs::JobId job, int step_no);

} // namespace safe_migrate::operations::backfill
