// Where this server's WAL was, and when: what the position of a replica is turned into time with.
// Works while replay is paused and the walsender's own replay_lag stands still.  Plain values.
#pragma once
#include <cstdint>

namespace safe_migrate::jobs::throttle {

struct WalMarks {
	static constexpr int size = 512;
	static constexpr int exact = 256; // the last ones are all kept
	struct Mark {
		uint64_t lsn;
		int64_t at_us; // when the position was first seen
	};
	int n = 0;
	Mark marks[size] = {}; // ascending
};

// Remembers the current position.  When full, older marks get fewer the older they are, so that
// the first one stays and what is recent stays exact.
void add_mark(WalMarks &marks, uint64_t lsn, int64_t now_us);

struct Lag {
	int64_t us;	   // how long ago WAL after `lsn` was first seen; 0 when there is none
	bool at_least; // `lsn` is before the first mark: a lower bound
};
Lag lag_of(const WalMarks &marks, uint64_t lsn, int64_t now_us);

} // namespace safe_migrate::jobs::throttle
