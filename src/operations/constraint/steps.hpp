// Steps about constraints, for all operations that need them.
#pragma once
#include "operations/constraint/definition.hpp"
#include "operations/ddl/recipe.hpp"

namespace safe_migrate::operations::constraint {

// ADD CONSTRAINT … NOT VALID: brief.
void add_not_valid_step(ddl::Recipe *recipe, Relation relation, const Definition &definition);

// VALIDATE CONSTRAINT, leaf by leaf where there are several: a scan that blocks nobody.
void add_validate_steps(ddl::Recipe *recipe, Relation relation, const Definition &definition);

// How many rows violate it, and the keys of some; a query that returns one row each.
char *violations_count(Oid relation, const Definition &definition);
char *violations_sample(Oid relation, const Definition &definition);

// A CHECK that is there already, valid or not, as a Definition.
Definition stored_definition(Relation relation, const char *name);

} // namespace safe_migrate::operations::constraint
