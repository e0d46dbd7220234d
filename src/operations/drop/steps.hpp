// Dropping what holds other tables by foreign keys: these go first, one by one, so that each lock
// on another table is brief.  All as DROP … RESTRICT: errors for what depends on it and stays; a
// NOTICE says what goes along.
#pragma once
#include "operations/ddl/recipe.hpp"

extern "C" {
#include "utils/relcache.h"
}

namespace safe_migrate::operations::drop {

// Errors: 42704 where there is none, 42P16 where it is inherited.
void add_constraint_steps(ddl::Recipe *recipe, Relation relation, const char *name);

// Errors: 42703, 0A000 for a system column, 42P16 where it is inherited or in a partition key.
void add_column_steps(ddl::Recipe *recipe, Relation relation, const char *column);

// The statement of the step loses what is in the table and its descendants: rows that are not there
// yet, or in tables that are to become descendants, are not judged now.
void note_rows(ddl::RecipeStep *step, Oid table);

// What the server asks for where one of these is dropped by a plain statement: the ownership of
// each child that loses it, too (ddl::need_owner()).
void need_owners_of_column(ddl::Recipe *recipe, Oid table, const char *column);
void need_owners_of_constraint(ddl::Recipe *recipe, Oid table, const char *name);

void add_table_steps(ddl::Recipe *recipe, Relation relation);

// The foreign keys of a table and of what inherits from it that refer to other tables, each in a
// step of its own; with a column, only those that it is in; will_be_detached: by then the table is
// no partition any more, and has what it inherited as its own.
void add_foreign_key_steps(ddl::Recipe *recipe, Oid relation, const char *column,
						   bool will_be_detached);

} // namespace safe_migrate::operations::drop
