// The end of a pass: see passes.hpp.
#include "operations/backfill/passes.hpp"

#include "pg/pure.hpp"

namespace safe_migrate::operations::backfill {

namespace {

// Passes that found rows to write, one after the other, before the job stops running after
// rows that the application goes on to write.
constexpr int most_passes = 8;

} // namespace

PassVerdict after_pass(const PassResult &result)
{
	if (result.rows_written > 0)
		return result.pass >= most_passes && result.rows_locked == 0 &&
					   result.rows_written * 2 > result.rows_written_before
				   ? PassVerdict::keeps_coming
				   : PassVerdict::again;
	if (result.rows_locked > 0)
		return result.locked_for_ms > result.locked_patience_ms ? PassVerdict::still_locked
																: PassVerdict::again_later;
	if (result.rows_unmatched > 0)
		return PassVerdict::unmatched;
	if (result.rows_kept > 0)
		return PassVerdict::kept;
	return PassVerdict::complete;
}

} // namespace safe_migrate::operations::backfill
