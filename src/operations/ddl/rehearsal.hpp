// What a job would do first is tried where that stops nobody, and undone: the server itself says
// what is wrong with it while whoever called can still read it.
#pragma once
#include "operations/ddl/recipe.hpp"

namespace safe_migrate::operations::ddl {

// Runs the recipe's first steps, one after the other, as the current user in a subtransaction that
// is rolled back: those that take no lock which stops others' work and run no query of the user's.
// The first other one ends it, as what follows may depend on that.  Errors: the server's for what
// is wrong with a statement; what may be different a moment later (a lock that is not free) is
// none.
void rehearse(const Recipe &recipe);

} // namespace safe_migrate::operations::ddl
