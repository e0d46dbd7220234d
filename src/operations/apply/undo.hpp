// What takes a statement back that is run as it stands.
#pragma once
#include "operations/apply/script.hpp"

namespace safe_migrate::operations::apply {

// SQL that gives the schema of before, under any search_path, told before the statement is run;
// nullptr where there is none: what is dropped or changed for good, and what changes nothing.
char *undo_of(const Unit &unit);

// The same in a worker, of the first statement of the text, just before it is run, under its locks.
char *undo_of_text(const char *sql);

} // namespace safe_migrate::operations::apply
