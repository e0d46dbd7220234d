// What the server would refuse of a statement, found out when it is queued and not by a worker.
#pragma once
#include "operations/apply/script.hpp"
#include "operations/index/definition.hpp"

namespace safe_migrate::operations::apply {

// The CREATE INDEX that the unit is, on a table or materialized view of the current user's; the
// errors of index/check.hpp.
index::Definition read_index(const Unit &unit);

// Of a statement that needs no recipe: the server's errors as far as the catalog tells them.
void check_as_it_stands(const Unit &unit);

} // namespace safe_migrate::operations::apply
