// Adding a constraint without a scan under a strong lock.
#pragma once
#include "operations/constraint/definition.hpp"
#include "operations/ddl/recipe.hpp"

namespace safe_migrate::operations::constraint {

// All steps that add it; errors for what can't be done online.
void add_constraint_steps(ddl::Recipe *recipe, Relation relation, const Definition &definition);

// Errors for what the server would refuse of it (check_referenced(), index/check.hpp).
void check_definition(Relation relation, const Definition &definition);

// Error 42P16 where the table has one: as the server's, before anything is built.
void refuse_second_primary_key(Relation relation);

// UNIQUE and PRIMARY KEY: the index concurrently, NOT NULL proven, USING INDEX.
void check_key(Relation relation, const Definition &definition);
void add_key_steps(ddl::Recipe *recipe, Relation relation, const Definition &definition);

} // namespace safe_migrate::operations::constraint
