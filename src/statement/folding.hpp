// Planning expressions without running anything user-written: the server's own planner evaluates
// every IMMUTABLE function that has constant arguments, a plpgsql one too.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "nodes/pg_list.h"
#include "nodes/primnodes.h"
#include "utils/rel.h"
}

namespace safe_migrate::statement {

// Could the planner, folding it, run code that was not built in?
bool calls_user_code(Node *expression);

// expression_planner() where only built-in functions run, the bodies of SQL functions in their
// places; else (*is_planned false) the expression as it is.
Node *plan_built_in(Node *expression, bool *is_planned = nullptr);

// contain_volatile_functions_after_planning(), as far as it can be planned; else the functions
// count as they are declared.
bool is_volatile(Node *expression);

// DomainHasConstraints(), domains over domains included, without planning the constraints.
bool domain_has_constraints(Oid type);

// Does reading a literal of the type run a domain's CHECKs?  Of an array, row or range with a
// domain inside: parse analysis already reads it.
bool reading_checks_domain(Oid type);

// Of an expression as the parser left it: is there a cast to such a type?
bool casts_to_such(Node *raw);

// Do the relation's valid CHECKs imply the tests?  Mirrors ConstraintImpliedByRelConstraint().
// Those named in `dropped` (a list of char *) don't count.
bool implied_by_checks(Relation rel, List *tests, const List *dropped);

// Can the column of the relation hold no NULL because a CHECK says so?  Mirrors
// NotNullImpliedByRelConstraints().
bool not_null_is_proven(Relation rel, AttrNumber attnum, const List *dropped);

} // namespace safe_migrate::statement
