// See wal_pieces.hpp.
#include "operations/backfill/wal_pieces.hpp"

extern "C" {
#include "access/xlog.h"
#include "portability/instr_time.h"
}

namespace safe_migrate::operations::backfill {
namespace {

constexpr int64 rest_per_flush = 2; // times its length: at most a third of the time goes there

struct {
	int64 piece;
	XLogRecPtr flushed; // at least up to here
	int64 not_before_us;
} pieces;

int64 now_us()
{
	instr_time now;

	INSTR_TIME_SET_CURRENT(now);
	return static_cast<int64>(INSTR_TIME_GET_MICROSEC(now));
}

bool is_a_piece() { return XactLastRecEnd >= pieces.flushed + static_cast<uint64>(pieces.piece); }

} // namespace

void begin_wal_pieces(int64 bytes) { pieces.piece = bytes; }

void flush_wal_piece()
{
	if (pieces.piece == 0 || !is_a_piece())
		return;
	pieces.flushed = GetFlushRecPtr(nullptr); // others flush as well
	int64 started = now_us();
	if (!is_a_piece() || started < pieces.not_before_us)
		return;
	XLogFlush(XactLastRecEnd);
	pieces.flushed = XactLastRecEnd;
	int64 ended = now_us();
	pieces.not_before_us = ended + rest_per_flush * (ended - started);
}

} // namespace safe_migrate::operations::backfill
