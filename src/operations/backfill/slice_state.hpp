// What a SliceRunner is made of; for the files of this folder.
#pragma once
#include "operations/backfill/batch_clock.hpp"
#include "operations/backfill/direct_writer.hpp"
#include "operations/backfill/executor_writer.hpp"
#include "operations/backfill/page_window.hpp"
#include "operations/backfill/row_query.hpp"
#include "operations/backfill/slice_runner.hpp"

namespace safe_migrate::operations::backfill {

class SliceRunner {
public:
	MemoryContext context;		 // the runner's own
	MemoryContext batch_context; // reset at the start of each batch
	const Definition *definition;
	Oid leaf;
	Oid relfilenumber;
	BlockNumber first_block, end_block;

	RowQuery query;
	PageWindow window;
	BlockNumber next_block;		  // the first one never visited
	BlockNumber committed_cursor; // all before it is finished, for good
	BlockNumber batch_cursor;	  // the same once the batch commits
	double us_per_index_entry;	  // moving averages, to leave time for what is put off
	double us_per_executor_row;	  // 0 = none was written yet
	double matching_share;		  // moving average: rows that match, of line pointers
	double growth; // moving average: of the new length, what the old version does not give back
	bool unmatched_reported;
	bool was_aborted; // a batch, perhaps since a trigger changed a key that others look at
};

// What is known of the version that a row is about to get rid of.
struct Past {
	bool old;	 // there before the job began
	bool again;	 // written by the job, and by nobody since
	bool thrice; // by a batch that had written such rows
};

// One batch in the making.
struct Batch {
	SliceRunner &runner;
	Relation leaf;
	Definition const &definition;
	bool direct; // which of the two writers is at work
	DirectWriter writer;
	ExecutorWriter executor;
	BatchClock clock;
	BatchResult result;
	int64 rows_seen;
	bool rows_are_slow;		  // the clock is looked at for each of them
	ItemPointerData row;	  // the last one looked at, for error contexts
	double move_cost;		  // of a row out of its page, in visits of a page
	TransactionId old_before; // as in BatchLimits
	const OwnWrites *own;	  // the same
	int64 queued_old;		  // of the rows queued for the executor, those older than that
	int64 queued_again, queued_thrice;
	bool fill; // page filling: leave rows for a later visit when the page is full
};

// Error context callback; arg is the Batch.
void describe_row(void *arg);
// Visits a page from `page.next` on. Returns true when nothing is left to do there;
// otherwise page.next is the row to go on with.
bool visit_page(Batch &batch, OpenPage &page);
// Writes the rows that were put off for the executor.
void flush_rows(Batch &batch);
// Time to bring the batch to its end?
bool is_due(const Batch &batch);

} // namespace safe_migrate::operations::backfill
