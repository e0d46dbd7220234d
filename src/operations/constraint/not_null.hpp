// A column that is to hold no NULL, without a scan under a strong lock.
#pragma once
#include "operations/ddl/recipe.hpp"

extern "C" {
#include "utils/relcache.h"
}

namespace safe_migrate::operations::constraint {

// Would SET NOT NULL need no scan: is the column NOT NULL already, or does a valid CHECK prove it?
// As NotNullImpliedByRelConstraints().
bool is_not_null(Relation relation, AttrNumber column);
bool is_proven_not_null(Relation relation, AttrNumber column);

// All steps that make it NOT NULL; NULLs are set to `fill` first where it is given.  Nothing is
// added where it is NOT NULL already.
void add_not_null_steps(ddl::Recipe *recipe, Relation relation, const char *column,
						const char *fill);

} // namespace safe_migrate::operations::constraint
