// The end of a pass: see passes.hpp.
#include "operations/backfill/passes.hpp"

#include "pg/pure.hpp"

namespace safe_migrate::operations::backfill {

namespace {

// Passes that found rows to write, one after the other, before the job stops running after
// rows that the application goes on to write.
constexpr int most_passes = 8;

int64_t rows_found(const PassResult &result) { return result.rows_written + result.rows_missed; }

// Late, and two passes on end found about as many rows: no end is in sight.  Where the rows that
// were written make others match, those that were there before are an end: each is written once.
bool rows_keep_coming(const PassResult &result)
{
	if (result.reads_itself && result.rows_old > 0)
		return false;
	return result.pass >= most_passes && result.rows_locked == 0 &&
		   result.rows_written_before > 0 && rows_found(result) * 2 > result.rows_written_before;
}

// Rows that match again by what was written to others may settle, as sums up a tree do: then there
// are ever fewer.  If there are less than half as many in each pass, all of them together are fewer
// than the first of these passes wrote.  If not, rows chase each other, or the predicate's
// functions do not say what the rows say.
bool goes_in_circles(const PassResult &result)
{
	return result.rows_thrice > 0 && result.rows_again_before > 0 &&
		   result.rows_again * 2 > result.rows_again_before;
}

} // namespace

PassVerdict after_pass(const PassResult &result)
{
	if (goes_in_circles(result))
		return PassVerdict::circling;
	if (rows_found(result) > 0 && !rows_keep_coming(result))
		return PassVerdict::again;
	if (result.rows_locked > 0)
		return result.locked_for_ms > result.locked_patience_ms ? PassVerdict::still_locked
																: PassVerdict::again_later;
	if (result.rows_unmatched > 0)
		return PassVerdict::unmatched;
	if (result.rows_kept > 0)
		return PassVerdict::kept;
	return rows_found(result) > 0 ? PassVerdict::keeps_coming : PassVerdict::complete;
}

} // namespace safe_migrate::operations::backfill
