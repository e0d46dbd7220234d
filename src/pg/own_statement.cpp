// See own_statement.hpp.
#include "pg/own_statement.hpp"

namespace safe_migrate::pg {

namespace {

bool marked = false;
bool rows_marked = false;

bool take(bool *mark)
{
	bool was_marked = *mark;
	*mark = false;
	return was_marked;
}

} // namespace

void mark_own_statement() { marked = true; }

bool take_own_statement_mark() { return take(&marked); }

void mark_own_rows() { rows_marked = true; }

bool take_own_rows_mark() { return take(&rows_marked); }

} // namespace safe_migrate::pg
