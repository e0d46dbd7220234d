// What a transaction has done so far, as far as a later statement of it is judged by that: the
// strong locks that judged statements took, and the names that they changed.
#pragma once
#include "pg/postgres.hpp"

#include "guard/verdict.hpp"
#include "statement/analysis.hpp"

namespace safe_migrate::guard {

// Adds what is wrong with a statement only because of those before it: several-strong-locks,
// work-after-strong-lock, validate-in-same-transaction.
void add_transaction_findings(statement::Analysis *analysis);
// The same for rows: work-after-strong-lock, once a transaction.
// fills_table: of a query whose rows go to a new table, which has no name yet.
void add_row_findings(statement::Analysis *analysis, const PlannedStmt *plan, bool fills_table);

// By the planner's estimate: for the transaction that it is in, or for max_rows_per_statement.
bool writes_too_many_rows(const PlannedStmt *plan);
bool fills_for_long(const PlannedStmt *plan);

// The statement has succeeded: its strong locks are held up to the end of the transaction.
void note_strong_locks(const statement::Effects *effects);

// Renames are judged at commit, when a name that is there again harms nobody.  Level is what the
// verdict would be, text and command are copied.
void postpone_rename(const statement::Effects *effects, const statement::Finding &finding,
					 Level level);
bool can_be_postponed(const statement::Finding &finding);

// PREPARE TRANSACTION too is judged at its end.
void install_transaction_rules(); // from _PG_init

} // namespace safe_migrate::guard
