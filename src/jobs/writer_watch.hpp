// Whether anybody but the jobs' workers writes, told by the transaction ids handed out: who reads
// only has none.  Pure.
#pragma once
#include <cstdint>

namespace safe_migrate::jobs {

class WriterWatch {
public:
	// ids: handed out in the cluster so far; own: those that workers took, perhaps counted a moment
	// later, one for each worker.  In the first 100 ms the answer is no.
	bool others_write(int64_t now_us, uint64_t ids, uint64_t own, int workers);

private:
	int64_t since_us = 0; // 0 = never asked
	uint64_t ids_then = 0, own_then = 0;
	bool knows = false, found = false;
};

} // namespace safe_migrate::jobs
