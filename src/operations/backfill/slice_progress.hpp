// What a worker adds to the job's progress for its slice, in blocks.  Pages under way count in
// part; who gives the slice up takes that back, as the next one begins again at the stored cursor.
#pragma once
#include <cstdint>

namespace safe_migrate::operations::backfill {

class SliceProgress {
public:
	SliceProgress(uint32_t cursor = 0) : told_(cursor) {}
	// As much is done as if all blocks before `reached` were; returns what is new.
	int64_t advance(uint32_t reached)
	{
		if (reached <= told_)
			return 0;
		int64_t news = static_cast<int64_t>(reached) - told_;
		told_ = reached;
		return news;
	}
	// Given up with all before `cursor` finished; returns what to add, never more than 0.
	int64_t give_up(uint32_t cursor)
	{
		if (cursor >= told_)
			return 0;
		int64_t less = static_cast<int64_t>(cursor) - told_;
		told_ = cursor;
		return less;
	}

private:
	uint32_t told_;
};

} // namespace safe_migrate::operations::backfill
