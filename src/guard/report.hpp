// How a verdict is told: an error, or a warning, with SQLSTATE SM001.
#pragma once
#include "pg/postgres.hpp"

#include "guard/verdict.hpp"

namespace safe_migrate::guard {

// An error for reject (under enforce), a WARNING else; `deciding` gives the rule, names and HINT,
// the DETAIL has all findings that are not let pass, a line each.
struct Report {
	const statement::Effects *effects;
	const statement::Finding *deciding;
	const Level *levels; // of each finding
	bool is_error;
	bool would_be_error; // warned about only because guard = warn
	bool is_queued;		 // the safe way is what was called
};
void report(const Report &report);

} // namespace safe_migrate::guard
