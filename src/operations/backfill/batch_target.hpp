// How long the next batch is to take.
#pragma once
#include <algorithm>
#include <cstdint>

namespace safe_migrate::operations::backfill {

// Grows by half at most after a batch that went well, up to the aim; halves at once after one that
// did not, but never below the shortest that gets anywhere.
class BatchTarget {
public:
	BatchTarget() = default;
	explicit BatchTarget(int64_t aim_us) : us_(aim_us / 2) {}
	int64_t us() const { return us_; }
	void grow(int64_t aim_us) { us_ = std::min(aim_us, us_ + us_ / 2); }
	void shrink() { us_ = std::min(us_, std::max(shortest_us, us_ / 2)); }

private:
	static constexpr int64_t shortest_us = 2'000;
	int64_t us_ = 0;
};

} // namespace safe_migrate::operations::backfill
