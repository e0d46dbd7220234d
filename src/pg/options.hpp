// Options in parentheses of a utility statement.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "commands/defrem.h"
#include "nodes/parsenodes.h"
}

namespace safe_migrate::pg {

// Is the boolean option on?  As REINDEX, CLUSTER and VACUUM read it: the last one wins.
inline bool has_option(const List *options, const char *name)
{
	bool given = false;
	ListCell *cell;
	foreach (cell, options) {
		auto *option = lfirst_node(DefElem, cell);
		if (strcmp(option->defname, name) == 0)
			given = defGetBoolean(option);
	}
	return given;
}

} // namespace safe_migrate::pg
