// The rows of explain(): one per statement and effect, or one that says why there is none.
#pragma once
#include "pg/postgres.hpp"

#include "guard/verdict.hpp"

extern "C" {
#include "nodes/execnodes.h"
}

namespace safe_migrate::guard {

// The right half of a row; nullptr = NULL.
struct Judged {
	Level level;
	const char *rule;
	const char *reason;
	const char *instead;
};

void put_finding(ReturnSetInfo *result, int statement_no, const char *command,
				 const statement::Finding *finding, const Judged &judged);

// A statement without effects, or one that can't be judged: no relation, no lock.
void put_remark(ReturnSetInfo *result, int statement_no, const char *command, const Judged &judged);

} // namespace safe_migrate::guard
