// WAL goes to disk in small pieces while a batch runs: whoever commits waits until all WAL before
// its own is there, and a batch leaves megabytes.
#pragma once
#include "pg/postgres.hpp"

namespace safe_migrate::operations::backfill {

// For this batch: how much may stay behind; 0 leaves all of it to the server.
void begin_wal_pieces(int64 bytes);
// Flushes what this transaction wrote when it is a piece.  Between two pages or index entries: no
// buffer is locked.
void flush_wal_piece();

} // namespace safe_migrate::operations::backfill
