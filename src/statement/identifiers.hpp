// The identifiers of a statement's text, by the server's own scanner.  What a statement mentions is
// more than what it touches: good enough to say that it can't depend on something.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "nodes/pg_list.h"
}

namespace safe_migrate::statement {

struct Identifiers {
	List *names; // char *, as the parser would read them; also the words inside string constants
	bool all;	 // one can't be read (U&"…"): take it that all are mentioned
};

// Of text[0, length), which the parser has accepted.
Identifiers identifiers_of(const char *text, int length);

} // namespace safe_migrate::statement
