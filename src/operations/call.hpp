// What the SQL functions that queue a job have in common: how each begins, and the arguments that
// all of them take.
#pragma once
#include "pg/boundary.hpp"

#include <initializer_list>

namespace safe_migrate::operations {

// What each begins with.  `required`: its first arguments, none of which may be NULL, by their
// names.  Errors: 25006 in a read-only transaction, 25000 in a parallel worker, 55000 where the
// library is not preloaded, 22004.
void begin_call(FunctionCallInfo fcinfo, const char *function,
				std::initializer_list<const char *> required);

// Names are quoted only where they have to be, whatever quote_all_identifiers says: the texts that
// `body` makes are compared with stored ones.
Datum with_plain_names(FunctionCallInfo fcinfo, Datum (*body)(FunctionCallInfo));

// The n-th argument (from 0) as the name of a job; nullptr = unnamed.  Error 22023 where it is
// empty or too long.
char *job_name_argument(FunctionCallInfo fcinfo, int n);
// A jsonb argument as settings of a job: jsonb text.  Errors as validate_job_settings().
char *settings_argument(FunctionCallInfo fcinfo, int n);

struct Options {
	const char *job_name; // nullptr = unnamed
	const char *settings; // validated jsonb text
};
// job_name, then settings, at the n-th argument of a *_safely function.
Options read_options(FunctionCallInfo fcinfo, int n);

} // namespace safe_migrate::operations

// As SAFE_MIGRATE_FUNCTION(), for those that make jobs.
#define SAFE_MIGRATE_OPERATION(symbol)                                                             \
	static Datum symbol##_operation(FunctionCallInfo fcinfo);                                      \
	SAFE_MIGRATE_FUNCTION(symbol)                                                                  \
	{                                                                                              \
		return safe_migrate::operations::with_plain_names(fcinfo, symbol##_operation);             \
	}                                                                                              \
	static Datum symbol##_operation(FunctionCallInfo fcinfo)
