// A column in ordinary syntax, taken apart: what a brief ADD COLUMN can say, and what has to be
// done with the rows that are there.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "nodes/parsenodes.h"
#include "utils/relcache.h"
}

namespace safe_migrate::operations::column {

struct Definition {
	const char *source; // the text
	ColumnDef *parsed;	// as the parser left it
	const char *name;
	Oid domain; // a domain with constraints that was asked for; type is its base type then
	Oid given;	// the type that was asked for
	Oid type;
	int32 typmod;
	char *type_text; // with COLLATE, COMPRESSION, STORAGE
	bool is_serial;
	Constraint *identity;
	const char *identity_text; // "GENERATED … AS IDENTITY (…)"
	char *default_text;		   // deparsed, or nullptr
	bool default_is_types;	   // it is the type's own, and none of the column
	bool default_is_volatile;  // evaluated for each row
	bool default_is_null;	   // DEFAULT NULL
	bool is_not_null;
	bool is_stored;		  // GENERATED … STORED
	bool is_virtual;	  // GENERATED … VIRTUAL
	List *constraints;	  // of char *: "CONSTRAINT name CHECK (…)", as table constraints
	List *names;		  // of char *: theirs
	const char *sequence; // of serial and identity: qualified, as the server would choose it
};

// The type that a serial is, by these names only, unqualified, as transformColumnDefinition() tells
// it; InvalidOid: another type.
Oid serial_type(const TypeName *name);

// "name type [DEFAULT …] [NOT NULL] …" and nothing else: 42601; the server's own errors for what it
// can't parse or analyse, with the position in the text.
Definition read_definition(Relation relation, const char *text);

} // namespace safe_migrate::operations::column
