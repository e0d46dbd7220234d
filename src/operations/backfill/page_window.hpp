// The pages that a slice has begun and not finished: a queue in the order in which they
// may be visited again.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "access/transam.h"
#include "storage/block.h"
#include "storage/off.h"
}

namespace safe_migrate::operations::backfill {

struct OpenPage {
	BlockNumber block;
	OffsetNumber next; // rows before this one are done with
	OffsetNumber last; // no row beyond it was there at the first visit
	TransactionId xid; // who wrote there last
};

class PageWindow {
public:
	void allocate(MemoryContext context, int capacity)
	{
		pages_ = static_cast<OpenPage *>(
			MemoryContextAlloc(context, sizeof(OpenPage) * static_cast<Size>(capacity)));
		capacity_ = capacity;
		clear();
	}
	bool is_empty() const { return count_ == 0; }
	bool is_full() const { return count_ == capacity_; }
	int count() const { return count_; }
	const OpenPage &front() const { return pages_[head_]; }
	OpenPage pop()
	{
		OpenPage page = pages_[head_];
		head_ = (head_ + 1) % capacity_;
		count_--;
		return page;
	}
	void push(const OpenPage &page)
	{
		pages_[(head_ + count_) % capacity_] = page;
		count_++;
	}
	void clear() { head_ = count_ = 0; }
	// The first block that is not finished, or `none` when all are.
	BlockNumber first_block(BlockNumber none) const
	{
		BlockNumber first = none;
		for (int i = 0; i < count_; i++)
			first = Min(first, pages_[(head_ + i) % capacity_].block);
		return first;
	}

	// How much of the open pages is still to be done, in pages.
	double left() const
	{
		double sum = 0;
		for (int i = 0; i < count_; i++) {
			const OpenPage &page = pages_[(head_ + i) % capacity_];
			if (page.next <= page.last && page.last > 0)
				sum += 1.0 - (page.next - 1.0) / page.last;
		}
		return sum;
	}

private:
	OpenPage *pages_;
	int capacity_;
	int head_;
	int count_;
};

} // namespace safe_migrate::operations::backfill
