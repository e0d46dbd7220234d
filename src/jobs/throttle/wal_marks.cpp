#include "jobs/throttle/wal_marks.hpp"

#include <algorithm>

#include "pg/pure.hpp"

namespace safe_migrate::jobs::throttle {

namespace {

// Drops the mark that is missed least: the one with the smallest gap for its age.
void thin_out(WalMarks &marks, int64_t now_us)
{
	int least = 1;
	double least_gap = 0;
	for (int i = 1; i < marks.n - WalMarks::exact; i++) {
		const WalMarks::Mark *mark = &marks.marks[i];
		double age = static_cast<double>(std::max<int64_t>(now_us - mark->at_us, 1));
		double gap = static_cast<double>(mark[1].at_us - mark[-1].at_us) / age;
		if (i == 1 || gap < least_gap) {
			least = i;
			least_gap = gap;
		}
	}
	std::copy(marks.marks + least + 1, marks.marks + marks.n, marks.marks + least);
	marks.n--;
}

} // namespace

void add_mark(WalMarks &marks, uint64_t lsn, int64_t now_us)
{
	if (marks.n > 0 && lsn <= marks.marks[marks.n - 1].lsn)
		return;
	if (marks.n == WalMarks::size)
		thin_out(marks, now_us);
	marks.marks[marks.n++] = {lsn, now_us};
}

Lag lag_of(const WalMarks &marks, uint64_t lsn, int64_t now_us)
{
	const WalMarks::Mark *end = marks.marks + marks.n;
	const WalMarks::Mark *next = std::upper_bound(
		marks.marks, end, lsn, [](uint64_t l, const WalMarks::Mark &m) { return l < m.lsn; });
	if (next == end)
		return {0, false};
	return {std::max<int64_t>(now_us - next->at_us, 0), next == marks.marks};
}

} // namespace safe_migrate::jobs::throttle
