// One statement of DDL in, the steps that carry it out without stopping anybody.
#pragma once
#include "operations/apply/script.hpp"
#include "operations/ddl/recipe.hpp"

namespace safe_migrate::operations::apply {

// Adds the steps for the unit as the catalog is now: as it stands where it is brief, by its recipe
// where it is not.  Error 0A000 where there is no safe way, with the reason; the server's own
// errors where the statement would raise them.  *checks: true while it looks for those of a
// statement that needs no recipe, which may depend on what is done to its table before.
void add_steps(ddl::Recipe *recipe, const Unit &unit, bool *checks);

// Whether an ALTER TABLE with parts is brief as it stands: then it is one step, all or nothing.
bool is_brief_as_one(const Unit &unit);

// The relations that the unit's effects touch, as oids; none for what only makes new ones.
List *touched_relations(const Unit &unit);

// Does it lose data or break clients?  Then the guard is asked when it is queued.
bool loses_or_breaks(const Unit &unit);

// Whether it can be done in the caller's transaction as it stands.
bool can_be_inline(const Unit &unit);

} // namespace safe_migrate::operations::apply
