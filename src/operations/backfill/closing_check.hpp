// The last look at a backfill that seems complete.  A pass reads its pages one after the other,
// each as it is at that moment: a row that a client moves from pages still to come to pages already
// read is not seen.  One snapshot sees every row once, wherever it is.
#pragma once
#include "jobs/step_context.hpp"
#include "operations/backfill/definition.hpp"
#include "operations/backfill/slices.hpp"

extern "C" {
#include "access/transam.h"
}

namespace safe_migrate::operations::backfill {

// What a pass can vouch for.
struct PassStart {
	Leaves leaves; // it reads all of these files
	// Transactions before this one were over when it began, so it has seen what they wrote.
	// Invalid: a pass that another process began.
	FullTransactionId seen_before;
};

// Needs a snapshot, before the first page of the pass is read.
FullTransactionId oldest_running();

// To compare xmins with, which row versions keep when they are frozen, as long as it is not too far
// away; else invalid.
TransactionId comparable(FullTransactionId xid);

enum class Closing : uint8_t {
	complete, // no row matched when the check began
	missed,	  // a row that matches, or a table that the pass did not read: another pass
	stop	  // told to stop
};

// Looks at all pages under one snapshot, but takes no lock on a table for longer than a batch.
// Where `older_than` is comparable, only for rows that are older.
Closing closing_check(jobs::StepContext *context, const Definition &definition,
					  const PassStart &pass, int pass_number, FullTransactionId older_than);

} // namespace safe_migrate::operations::backfill
