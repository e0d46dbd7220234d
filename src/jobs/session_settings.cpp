// What of a session travels with a job: see session_settings.hpp.
#include "jobs/session_settings.hpp"

extern "C" {
#include "lib/stringinfo.h"
#include "utils/guc.h"
}

namespace safe_migrate::jobs {

namespace {

constexpr const char *carried[] = {
	// what an expression is evaluated with
	"search_path",			  // functions and triggers find their names by it
	"TimeZone",				  // created_at::date
	"timezone_abbreviations", // '2024-01-01 10:00 EST'::timestamptz
	"DateStyle",			  // created_at::text, and constants that functions read
	"IntervalStyle",		  // the same of intervals
	"extra_float_digits",	  // price::float8::text
	"bytea_output",			  // payload::text
	"xmloption",			  // xml from text
	"xmlbinary",			  // xmlelement(name x, payload)
	"lc_monetary",			  // amount::money::text
	"lc_numeric",			  // to_char(amount, 'D')
	"lc_time",				  // to_char(created_at, 'TMMonth')
	"default_text_search_config",
	"row_security", // off: an error where a policy would hide rows from a sub-select
	// how a script is read, and what it leaves unsaid
	"standard_conforming_strings", "backslash_quote",
	"array_nulls", // DEFAULT '{NULL}'
	"transform_null_equals", "check_function_bodies", "default_tablespace",
	"default_table_access_method", "default_toast_compression", "password_encryption",
	"createrole_self_grant", // from 16 on
};

// A search_path may hold any character, the separator too.
bool is_carried(const char *name)
{
	for (const char *carried_name : carried)
		if (strcmp(name, carried_name) == 0)
			return true;
	return false;
}

} // namespace

char *capture_session_settings()
{
	StringInfoData text;
	initStringInfo(&text);
	for (const char *name : carried) {
		const char *value = GetConfigOption(name, true, false);
		if (!value)
			continue;
		if (text.len > 0)
			appendStringInfoChar(&text, settings_separator);
		appendStringInfo(&text, "%s=%s", name, value);
	}
	return text.data;
}

void apply_session_settings(const char *captured)
{
	char *text = pstrdup(captured);
	while (text) {
		char *end = strchr(text, settings_separator);
		char *next = end ? end + 1 : nullptr;
		if (end)
			*end = '\0';
		char *value = strchr(text, '=');
		if (value) {
			*value++ = '\0';
			if (is_carried(text))
				(void)set_config_option(text, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL,
										true, WARNING, false);
		}
		text = next;
	}
}

} // namespace safe_migrate::jobs
