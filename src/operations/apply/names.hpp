// What a statement makes without naming it: the names that the server would choose.
#pragma once
#include "operations/apply/earlier.hpp"
#include "operations/apply/script.hpp"
#include "operations/ddl/recipe.hpp"

namespace safe_migrate::operations::apply {

// A query (RecipeStep::names) of those names which others have taken when it is asked, chosen with
// the catalog as it is now; nullptr where the unit chooses none.  Left out is what an earlier
// statement of the script names: that may be made, or dropped, until then.  The names are added to
// those of the earlier ones.
char *names_of(const Unit &unit, Earlier *earlier);

// Puts it into the step that runs the unit as it was written.
void expect_names(ddl::Recipe *recipe, const char *names);

} // namespace safe_migrate::operations::apply
