// Rows that a statement of a script would change: among the overlay's own files.
#pragma once
#include "statement/overlay/overlay.hpp"

namespace safe_migrate::statement::overlay {

// UPDATE, DELETE and MERGE, in WITH and under EXPLAIN ANALYZE too; else nothing.
void analyse_rows(Overlay *overlay, Analysis *analysis, const RawStmt *raw);

// What EXPLAIN ANALYZE carries out, another statement itself; nullptr: nothing.
Node *carried_out(Node *statement);

// EXECUTE, under EXPLAIN ANALYZE or for the rows of a new table, too.
bool executes_prepared(const Node *statement);

} // namespace safe_migrate::statement::overlay
