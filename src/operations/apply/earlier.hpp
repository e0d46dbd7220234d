// What the statements of a script that come before one may have to do with an error of it: what is
// not there yet, or not gone yet, is nobody's mistake.
#pragma once
#include "operations/apply/script.hpp"

extern "C" {
#include "utils/elog.h"
}

namespace safe_migrate::operations::apply {

struct Earlier {
	List *relations; // oids that they touch
	List *names;	 // char *: identifiers that they mention; of parts what they change
	List *moved;	 // … relations whose names may mean something else by then
	bool any_name;	 // one can't be read, or makes what it does not name
	bool creates;	 // they make names
	bool drops;		 // they make room for names
	bool cascades;	 // they may take dependents away that they don't name
	bool retypes;	 // they change types of columns
	bool grants;	 // they make members of roles, or give away what they don't name
	bool values;	 // they add values to an enum
	bool keys;		 // they add primary or unique keys
	bool parts;		 // they are sub-commands of the same ALTER TABLE
};

// Notes a unit whose effects touch the relations.
void note_earlier(Earlier *earlier, const Unit &unit, const List *touched);

// Whether the error, which the unit gives now, may be gone once the earlier ones are done.
// touched: they touch a relation that it touches; checks: the error is of its own checks
// (add_steps()).
bool may_come_to_be(const Earlier &earlier, const ErrorData *error, const Unit &unit, bool touched,
					bool checks);

} // namespace safe_migrate::operations::apply
