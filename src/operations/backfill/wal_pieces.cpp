// See wal_pieces.hpp.
#include "operations/backfill/wal_pieces.hpp"

extern "C" {
#include "access/xlog.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "portability/instr_time.h"
#include "utils/wait_event.h"
}

namespace safe_migrate::operations::backfill {
namespace {

constexpr int64 patience_us = 2000; // a piece waits for others' commits as long
constexpr long look_again_us = 200;
constexpr int64 rest_after_slow_flush = 2; // times what it took over the patience

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

bool others_flush_it(int64 until_us)
{
	pgstat_report_wait_start(PG_WAIT_EXTENSION);
	while (is_a_piece() && now_us() < until_us) {
		CHECK_FOR_INTERRUPTS(); // an abort ends the report
		pg_usleep(look_again_us);
		pieces.flushed = GetFlushRecPtr(nullptr);
	}
	pgstat_report_wait_end();
	return !is_a_piece();
}

void flush_it()
{
	int64 started = now_us();
	XLogFlush(XactLastRecEnd);
	pieces.flushed = XactLastRecEnd;
	int64 ended = now_us();
	pieces.not_before_us = ended + rest_after_slow_flush * Max(ended - started - patience_us, 0);
}

} // namespace

void begin_wal_pieces(int64 bytes) { pieces.piece = bytes; }

void flush_wal_piece()
{
	if (pieces.piece == 0 || !is_a_piece())
		return;
	pieces.flushed = GetFlushRecPtr(nullptr);
	if (!is_a_piece())
		return;
	int64 now = now_us();
	if (now < pieces.not_before_us || others_flush_it(now + patience_us))
		return;
	flush_it();
}

} // namespace safe_migrate::operations::backfill
