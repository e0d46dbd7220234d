// How far a job is, in numbers and in words.  Plain values, but for meter_of().
#pragma once
#include "jobs/job.hpp"

#include <cstddef>

namespace safe_migrate::jobs {

struct Meter {
	JobState state;
	Condition condition;
	const char *phase;
	const char *detail;
	int step_no, step_count, pass;
	int64_t rows_written;
	int64_t units_done, units_total;
	double rows_per_second, units_per_second;
	int64_t replica_lag_us; // -1 unknown or no replica
};

// What a job does a second, smoothed over the last seconds.
struct Rates {
	double rows, units; // a second
	bool known;			// of what is being done: the next measure is weighed against them
	int64_t at_us;		// of the last measure; 0 = the next one is what is measured from
	int64_t rows_at, units_at;
};

// At most once a second; a clock that was set back is measured from anew.
void measure_rates(Rates *rates, int64_t now_us, int64_t rows, int64_t units);
// It has stood still: that is not counted.
inline void skip_pause(Rates *rates) { rates->at_us = 0; }
// What is done from now on is another thing, as fast as it is.
inline void forget_rates(Rates *rates) { *rates = {rates->rows, 0, false, 0, 0, 0}; }

constexpr size_t progress_line_length = 512;

// Done share of the current pass in [0,1]; -1 where unknown.
double fraction_of(const Meter &meter);
// Seconds to the end of the current pass at the present rate; -1 where unknown.
double eta_of(const Meter &meter);

// "12,345" from 12345; returns its length.
size_t write_grouped(char *to, size_t size, int64_t value);
// "1 h 02 min", "3 min 20 s", "12 s".
size_t write_duration(char *to, size_t size, double seconds);
// step 1/2 backfill: 41.7 %, 1,234,567 rows, 182,000 rows/s, 12 s left, lag 0.2 s; throttled: …
void write_progress_line(char (&to)[progress_line_length], const Meter &meter);

// When wait() prints a line: a calm pace, after 1 s, then every 2 s, from the fifth line on every
// 5 s; what has changed (`news`) may come up to 1.5 s earlier.
struct Pace {
	int64_t next_us;
	int lines;
};
inline Pace begin_pace(int64_t now_us) { return {now_us + 1'000'000, 0}; }
// True: print it now, which is counted.
bool is_time_for_line(Pace *pace, int64_t now_us, bool news);

struct LiveJob;
Meter meter_of(const LiveJob &live); // in wait.cpp

} // namespace safe_migrate::jobs
