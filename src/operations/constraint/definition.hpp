// A constraint in ordinary syntax, read in the caller's search_path and written again so that it
// means the same under any.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "nodes/parsenodes.h"
#include "utils/relcache.h"
}

namespace safe_migrate::operations::constraint {

struct Definition {
	const Constraint *parsed; // as the parser left it
	ConstrType type;
	char *name;		  // as given, or as the server would choose it now
	bool named;		  // it was given
	char *body;		  // as pg_get_constraintdef() will show it, without NOT VALID
	char *storage;	  // of a key: "WITH (…) TABLESPACE …" of its index, or ""
	char *expression; // of a CHECK, deparsed; names of columns unqualified
	bool no_inherit;
	Oid referenced;			  // of a foreign key
	List *columns;			  // of char *: the key, or the referencing columns
	List *referenced_columns; // of char *
};

// "[CONSTRAINT name] CHECK | FOREIGN KEY | UNIQUE | PRIMARY KEY …" and nothing else: 42601; the
// server's own errors for what it can't parse or analyse, with the position in the text.  The
// relation is locked against changes by the caller.
Definition read_definition(Relation relation, const char *text);

// A foreign key, as the parser left it, of an open table.
Definition foreign_key(Relation relation, const Constraint *parsed);

// Error 42809 where no foreign key can refer to it.
void check_kind_of_referenced(Relation referenced);

// Of a new foreign key: errors 42809 and 42P16 where no such table can be referred to, 42830 and
// 55000 where no unique index is to be referred to, 42501 where the current user may not.
void check_referenced(Relation relation, const Definition &definition);

// The same of one that a new column of that type brings along, with what read_definition() finds of
// the referenced columns and their types.
void check_reference_of(Relation relation, const char *column, Oid type, const char *name,
						const Constraint *parsed);

// Columns and sort order of a key as pg_get_indexdef() would want them: for UNIQUE and PRIMARY KEY.
char *column_list(List *columns);

// A query that returns true when the relation has that constraint (and, with `valid`, has it
// validated).
char *exists_query(Oid relation, const Definition &definition, bool valid);

} // namespace safe_migrate::operations::constraint
