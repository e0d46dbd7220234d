// See own_statement.hpp.
#include "pg/own_statement.hpp"

namespace safe_migrate::pg {

namespace {
bool marked = false;
}

void mark_own_statement() { marked = true; }

bool take_own_statement_mark()
{
	bool was_marked = marked;
	marked = false;
	return was_marked;
}

} // namespace safe_migrate::pg
