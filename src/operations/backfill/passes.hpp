// When is a backfill complete?  Decided from the totals of a pass, without a server.
#pragma once
#include <cstdint>

namespace safe_migrate::operations::backfill {

struct PassResult {
	int pass;
	int64_t rows_written;		 // in this pass
	int64_t rows_written_before; // in the pass before it, and what it missed
	int64_t rows_old;			 // of those written, there since before the job began
	int64_t rows_again;			 // of those written, last written by the job itself
	int64_t rows_thrice;		 // of these, for the third time at least
	int64_t rows_again_before;	 // in the last pass before that wrote any such row
	int64_t rows_missed;		 // that the closing check found: as good as written in this pass
	int64_t rows_locked;		 // left alone since others held them
	int64_t rows_unmatched;		 // left alone since the new row would still match
	int64_t rows_kept;			 // left alone by a BEFORE trigger
	int64_t locked_for_ms;		 // since passes have found nothing but locked rows
	int64_t locked_patience_ms;
	bool reads_itself; // by what was written other rows may come to match
};

enum class PassVerdict : uint8_t {
	again,		  // another pass over everything
	circling,	  // what it writes matches again by what it writes, without end
	again_later,  // the same, after a pause: only locked rows are left
	complete,	  // nothing matches any more
	keeps_coming, // complete as far as can be: rows that match are written by others all the time
	still_locked, // rows stayed locked for longer than the patience
	unmatched,	  // rows that would match again whatever is done
	kept,		  // rows that a trigger does not let go
};

PassVerdict after_pass(const PassResult &result);

} // namespace safe_migrate::operations::backfill
