// See call.hpp.
#include "operations/call.hpp"

#include "jobs/shared.hpp"
#include "pg/arguments.hpp"
#include "pg/finally.hpp"
#include "settings.hpp"

extern "C" {
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
}

namespace safe_migrate::operations {

namespace {

constexpr size_t max_name_length = 500; // bytes

} // namespace

void begin_call(FunctionCallInfo fcinfo, const char *function,
				std::initializer_list<const char *> required)
{
	PreventCommandIfReadOnly(function);
	PreventCommandIfParallelMode(function);
	jobs::require_preload();
	int n = 0;
	for (const char *argument : required)
		pg::refuse_null(fcinfo, n++, argument);
}

Datum with_plain_names(FunctionCallInfo fcinfo, Datum (*body)(FunctionCallInfo))
{
	const bool quote_all = quote_all_identifiers;
	Datum result = 0;
	pg::with_cleanup(
		[&] {
			quote_all_identifiers = false;
			result = body(fcinfo);
		},
		[quote_all] { quote_all_identifiers = quote_all; });
	return result;
}

char *job_name_argument(FunctionCallInfo fcinfo, int n)
{
	char *name = pg::text_argument(fcinfo, n);
	if (!name)
		return nullptr;
	if (name[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("job_name must not be empty"),
				 errhint("Leave it out for a job without a name.")));
	if (strlen(name) > max_name_length)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("job_name must not be longer than %zu bytes", max_name_length)));
	return name;
}

char *settings_argument(FunctionCallInfo fcinfo, int n)
{
	char *settings = nullptr;
	if (!PG_ARGISNULL(n)) {
		Jsonb *given = PG_GETARG_JSONB_P(n);
		settings = JsonbToCString(nullptr, &given->root, VARSIZE(given));
	}
	return validate_job_settings(settings, GetUserId());
}

Options read_options(FunctionCallInfo fcinfo, int n)
{
	Options options = {};
	options.job_name = job_name_argument(fcinfo, n);
	options.settings = settings_argument(fcinfo, n + 1);
	return options;
}

} // namespace safe_migrate::operations
