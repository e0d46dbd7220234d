// SQL texts of schema changes: made, and run as the current user.
#pragma once
#include "pg/postgres.hpp"

namespace safe_migrate::operations::ddl {

// The name of a relation as it can be written anywhere: qualified and quoted.  Error where it is
// gone.
char *quoted_name(Oid relation);
// A string constant of SQL text.
char *literal(const char *text);
// Name as an identifier: quote_identifier(), palloc'd.
char *identifier(const char *name);

// "c IS NULL", "c IS NOT NULL" as NOT NULL sees it: of a composite type SQL's own words would look
// at the fields.
char *null_test(const char *column, Oid type, bool is_null);
char *null_test_of(Oid relation, const char *column, bool is_null);

// The definition of what is there, with names that are found under any search_path: as
// pg_get_constraintdef() shows it.
char *constraint_text(Oid constraint);

// Statements run one after the other, as the current user, in this transaction.  With a pinned
// path names are found in pg_catalog alone: for texts that were resolved.
void run_sql(const char *sql, bool pinned_path = false);

// The same from a worker: each statement is marked as the extension's own, which the guard lets
// through.
void run_own_statement(const char *sql, bool pinned_path);

// A query of one boolean; false where it returns no row or NULL.  Names in it are qualified.
bool holds(const char *query);

// The first column of all rows, in one text, separated by commas; nullptr where there is none.
char *values_of(const char *query);

} // namespace safe_migrate::operations::ddl
