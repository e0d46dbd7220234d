// What a job would do first is tried while it is queued, and undone: the server itself says what is
// wrong with it while whoever called can still read it.
#pragma once
#include "operations/ddl/recipe.hpp"

namespace safe_migrate::operations::ddl {

// Runs the recipe's first statements, one after the other, as the current user in a subtransaction
// that is rolled back: those that are brief however large the tables are and run no query of the
// user's.  The first other one ends it, as what follows may depend on that.  Strong locks are taken
// where nobody is in the way, looked for again and again for ddl_lock_try without standing in the
// queue, and held no longer than that; not where a standby's readers would have to wait.  Nothing
// is called that may change more than is rolled back: event triggers stay out of it, and at any
// other VOLATILE function it ends without an answer.  Errors: the server's for what is wrong with a
// statement; what may be different a moment later (a lock that is not free) is none.
void rehearse(const Recipe &recipe);

} // namespace safe_migrate::operations::ddl
