// Which way rows of a leaf are written: straight through the access method, or by the
// executor because something else has a say.
#pragma once
#include "operations/backfill/leaf_columns.hpp"
#include "pg/postgres.hpp"

namespace safe_migrate::operations::backfill {

// True when no trigger would fire for the change, no exclusion constraint and no
// deferrable unique constraint is there, and no rule.
bool can_write_directly(const Definition &definition, const LeafColumns &columns, Relation leaf);
// True when a new version may stay on its page without index entries.
bool hot_is_possible(const LeafColumns &columns, Relation leaf);

} // namespace safe_migrate::operations::backfill
