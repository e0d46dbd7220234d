// What is said about a finding: sentences and SQL, with the user's own names in them.
#pragma once
#include "pg/postgres.hpp"

#include "guard/verdict.hpp"

namespace safe_migrate::guard {

// All palloc'd; they need a transaction.

// "It would rewrite public.orders (289 MB) and its 4 indexes under ACCESS EXCLUSIVE: reads and
// writes wait for it."
char *detail_of(const statement::Finding &finding);

// SQL to paste, the safe way to do the same: by the safe function where it exists in this
// database, else by plain SQL; nullptr where there is none.
char *instead_of(const statement::Effects *effects, const statement::Finding &finding);

} // namespace safe_migrate::guard
