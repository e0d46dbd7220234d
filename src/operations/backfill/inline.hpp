// Small and new tables: the work is done at once, in the caller's own transaction.
#pragma once
#include "operations/backfill/resolve.hpp"

namespace safe_migrate::operations::backfill {

// By the setting inline: whether the table is worth a job at all.
bool is_done_inline(const Target &target);

// Runs the definition as one UPDATE or DELETE and returns the number of rows written.  Errors as
// the job would fail with: 23514 where a written row satisfies the predicate again, 09000 where a
// trigger kept rows back.
int64 run_inline(const Resolved &resolved, const Target &target);

} // namespace safe_migrate::operations::backfill
