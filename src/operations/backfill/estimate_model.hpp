// From what a sample cost when it was written by one plain UPDATE to what the job will cost, which
// fills pages in several rounds.  Pure; the figures come from the measurements of 3 million rows
// with four indexes (docs: page filling against one UPDATE).
#pragma once
#include <algorithm>
#include <cstdint>

namespace safe_migrate::operations::backfill {

struct SampleCost {	  // of one plain UPDATE or DELETE
	double blocks;	  // looked at
	double rows;	  // written
	double rows_held; // that match and were passed over, as others hold them
	double scan_us;	  // to find the rows
	double write_us;  // to write them
	double wal_bytes; // of writing them
};

// Not where nothing was looked at, nor where there are rows to write and none was.
constexpr bool is_known(const SampleCost &sample)
{
	return sample.blocks > 0 && (sample.rows > 0 || sample.rows_held <= 0);
}

struct TableFacts {
	double blocks;		  // heap
	double bytes_per_row; // heap and indexes together
	int indexes;
	bool heap_only_possible; // no index on what is assigned, and an UPDATE
	bool erases;
};

struct Estimate {
	double rows, duration_us, wal_bytes, growth_bytes;
};

// Of rows that page filling writes, those that stay on their page.
constexpr double heap_only_share = 0.85;
// A row that leaves its page costs this much more, per index, than one that stays.
constexpr double time_per_index = 1.7;
constexpr double wal_per_index = 0.65;
// Picking rows and pruning pages, in units of a heap-only update.
constexpr double time_of_rounds = 1.0;
constexpr double wal_of_rounds = 0.35;
constexpr double line_pointer_bytes = 4;

constexpr double against_plain_update(double per_index, double rounds, const TableFacts &table)
{
	if (!table.heap_only_possible)
		return 1;
	const double stays = (1 + rounds) / (1 + per_index * table.indexes);
	return std::min(1.0, 1 - heap_only_share + heap_only_share * stays);
}

constexpr Estimate scale(const Estimate &estimate, double factor)
{
	return {estimate.rows * factor, estimate.duration_us * factor, estimate.wal_bytes * factor,
			estimate.growth_bytes * factor};
}

constexpr Estimate add(const Estimate &a, const Estimate &b)
{
	return {a.rows + b.rows, a.duration_us + b.duration_us, a.wal_bytes + b.wal_bytes,
			a.growth_bytes + b.growth_bytes};
}

constexpr Estimate extrapolate(const SampleCost &sample, const TableFacts &table)
{
	if (sample.blocks <= 0)
		return {};
	// rows that others hold come later, and cost what the others do
	const double held = sample.rows > 0 ? sample.rows_held / sample.rows : 0;
	const double write_us = sample.write_us * (1 + held);
	const double wal_bytes = sample.wal_bytes * (1 + held);
	Estimate estimate = {};
	estimate.rows = sample.rows * (1 + held);
	estimate.duration_us =
		sample.scan_us + write_us * against_plain_update(time_per_index, time_of_rounds, table);
	estimate.wal_bytes = wal_bytes * against_plain_update(wal_per_index, wal_of_rounds, table);
	if (!table.erases)
		estimate.growth_bytes =
			estimate.rows * (table.heap_only_possible
								 ? (1 - heap_only_share) * table.bytes_per_row + line_pointer_bytes
								 : table.bytes_per_row);
	return scale(estimate, table.blocks / sample.blocks);
}

} // namespace safe_migrate::operations::backfill
