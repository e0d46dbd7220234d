// See wal_segments.hpp.
#include "jobs/wal_segments.hpp"

#include "jobs/shared.hpp"

extern "C" {
#include "access/xlog.h"
#include "access/xlog_internal.h"
}

#include <unistd.h>

namespace safe_migrate::jobs {

namespace {

constexpr int bytes_ahead = 32 * 1024 * 1024;
constexpr int segments_ahead = 2;

// Segments up to `end` are there, or somebody is about to make them: returns the first that is
// left to the caller, 0 = none.
XLogSegNo claim_segment(XLogSegNo current, XLogSegNo end)
{
	uint64 claimed = pg_atomic_read_u64(&shared->wal_segment);
	for (;;) {
		XLogSegNo next = Max(claimed, current) + 1;
		if (next > end)
			return 0;
		if (pg_atomic_compare_exchange_u64(&shared->wal_segment, &claimed, next))
			return next;
	}
}

} // namespace

void make_wal_segments_ahead()
{
	XLogSegNo current;
	XLByteToSeg(GetXLogInsertRecPtr(), current, wal_segment_size);
	XLogSegNo end = current + Max(segments_ahead, bytes_ahead / wal_segment_size);
	while (XLogSegNo segment = claim_segment(current, end))
		close(XLogFileInit(segment, GetWALInsertionTimeLine()));
}

} // namespace safe_migrate::jobs
