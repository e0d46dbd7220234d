// The parameter rule_levels: its check, and what it says now.
#pragma once
#include "pg/postgres.hpp"

#include "guard/verdict.hpp"

namespace safe_migrate::guard {

const RuleLevels *session_levels(); // of safe_migrate.rule_levels

// Raises 22023 for a list that parse_levels() refuses.
void check_levels(const char *text);

void install_rule_settings(); // from _PG_init, before the settings are defined

} // namespace safe_migrate::guard
