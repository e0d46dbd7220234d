// WAL segments made ahead of need.  Where no recycled one is left, the server makes the next at
// the moment it is written to: filled with zeros and synced under WALWriteLock, while every commit
// waits, for tens of milliseconds and, beside a batch's WAL, several times a second.  A worker
// makes them before that, holding no lock, as the checkpointer does with one (PreallocXlogFiles()).
#pragma once

namespace safe_migrate::jobs {

// Makes the segments after the one that is being written, two or 32 MB of them, where they are not
// there yet.  Raises the server's own errors: a disk that is full stops the batch here, before it
// stops the server.
void make_wal_segments_ahead();

} // namespace safe_migrate::jobs
