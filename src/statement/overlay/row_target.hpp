// Whose rows a change of a relation's rows is one of: among the overlay's own files.
#pragma once
#include "statement/overlay/overlay.hpp"

extern "C" {
#include "nodes/nodes.h"
}

namespace safe_migrate::statement::overlay {

struct RowTarget {
	Oid relation;	   // the table that a view is one of; the view itself where there is none
	List *views;	   // on the way there, as oids: each is locked as the table is
	bool is_rewritten; // rules or INSTEAD OF triggers say what is changed, too
	bool is_replaced;  // they alone
	int changed_by;	   // the statement of the script that has changed these, or a view; 0 = none
};

// What rewriteTargetView() and RewriteQuery() would make of it.
RowTarget row_target(const Overlay *overlay, const Named &named, CmdType command);

} // namespace safe_migrate::statement::overlay
