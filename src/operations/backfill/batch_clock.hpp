// When a batch has done enough.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "portability/instr_time.h"
}

namespace safe_migrate::operations::backfill {

struct BatchClock {
	instr_time started;
	int64 target_us;

	void start(int64 target)
	{
		INSTR_TIME_SET_CURRENT(started);
		target_us = target;
	}
	int64 elapsed_us() const
	{
		instr_time now;
		INSTR_TIME_SET_CURRENT(now);
		INSTR_TIME_SUBTRACT(now, started);
		return static_cast<int64>(INSTR_TIME_GET_MICROSEC(now));
	}
};

} // namespace safe_migrate::operations::backfill
