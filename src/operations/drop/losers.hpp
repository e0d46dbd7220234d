// Who loses a column or a constraint with the table that it is inherited from.
#pragma once
#include "pg/postgres.hpp"
#include "statement/relations.hpp"

extern "C" {
#include "catalog/pg_inherits.h"
}

namespace safe_migrate::operations::drop {

inline int count_parents(Oid child, const List *tables)
{
	int n = 0;
	ListCell *cell;
	foreach (cell, tables)
		if (list_member_oid(find_inheritance_children(lfirst_oid(cell), NoLock), child))
			n++;
	return n;
}

// The root, and what is left without it: sources(child) is the number of parents that it has it
// from, 0 where it has it of its own as well.
template <class F> List *find_losers(Oid root, F &&sources)
{
	List *losers = list_make1_oid(root);
	List *tree = statement::with_descendants(root);
	for (bool more = true; more;) {
		more = false;
		ListCell *cell;
		foreach (cell, tree) {
			Oid child = lfirst_oid(cell);
			if (list_member_oid(losers, child))
				continue;
			int n = sources(child);
			if (n > 0 && n == count_parents(child, losers)) {
				losers = lappend_oid(losers, child);
				more = true;
			}
		}
	}
	return losers;
}

} // namespace safe_migrate::operations::drop
