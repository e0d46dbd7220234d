// Which policy holds for a relation: the settings, and what set_policy() says for it, a partitioned
// parent or its schema.  Read without SPI and without a transaction snapshot, from a cache that the
// server's relation cache invalidation empties.
#pragma once
#include "pg/postgres.hpp"

#include "guard/lock_budget.hpp"
#include "guard/verdict.hpp"

namespace safe_migrate::guard {

// Is the extension created in this database?  Syscache look-ups only.
bool extension_is_here();

// The nearest that says something about it wins, each part by itself: the relation (an index's
// table), the partitioned parents upwards, the schema, the settings.
Policy policy_for(Oid relation);
// Of the relation, or where it does not exist yet, of the schema that it is to be in.
Policy policy_for(const statement::Finding &finding);

// Is what goes to another schema or parent exempt there?
bool would_be_exempt(const statement::Finding &finding);

// The tightest of the relations that the statement locks strongly.
LockBudget budget_for(const statement::Effects *effects);
int max_hold_for(Oid relation); // ms, 0 = none

// Where oids of schemas mean what they mean here, as policy.made_in has it: cluster and database.
char *policy_home();

Oid policy_table_oid();		 // InvalidOid where the extension is absent
void install_policy_cache(); // from _PG_init

} // namespace safe_migrate::guard
