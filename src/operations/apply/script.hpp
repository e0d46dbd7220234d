// A script of DDL, taken apart into what can be done one by one.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"
}

namespace safe_migrate::operations::apply {

// One statement.
struct Unit {
	const char *sql; // of the unit alone, without a semicolon
	Node *statement; // parsed
	int number;		 // of the statement of the script that it is from, from 1
	bool is_queued;	 // by apply() now: what stops nobody may be tried and undone to look at it
	List *parts;	 // of Unit *: of an ALTER TABLE with several sub-commands each of them, in the
					 // order in which the server carries them out; else NIL
};

// Says of errors under it which statement of the script they are about; not where there is only
// one.  leave() takes it down; trivially destructible: an error's abort resets the context stack.
struct UnitContext {
	const Unit *unit;
	ErrorContextCallback callback;

	void enter(const Unit &about, const List *script);
	void leave();
};

// Of a unit that is one ALTER TABLE … ADD …: what follows that word, which a safe function takes;
// nullptr where it is another sub-command.
const char *text_after_add(const Unit &unit);

// One of them, by its text.
Unit *read_unit(const char *sql, int number);

// All of them, as a list of Unit *.  Errors: the parser's, with the position in the text; 0A000
// where sub-commands can't be told apart.
List *read_script(const char *ddl);

} // namespace safe_migrate::operations::apply
