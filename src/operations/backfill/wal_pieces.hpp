// While others write, a batch is no further ahead of the disk than a small piece of WAL: whoever
// commits waits until all WAL before its own is there, and a batch would leave megabytes.  Others'
// commits take the piece along; a flush of the worker's own would be one more to wait for.
#pragma once
#include "pg/postgres.hpp"

namespace safe_migrate::operations::backfill {

// For this batch: how much may stay behind; 0 leaves all of it to the server.
void begin_wal_pieces(int64 bytes);
// Once this transaction has written a piece: waits until commits of others have flushed it, and
// flushes it itself where none has within 2 ms.  Between two pages or index entries: no buffer is
// locked.
void flush_wal_piece();

} // namespace safe_migrate::operations::backfill
