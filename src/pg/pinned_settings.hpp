// The settings under which resolved texts are deparsed and read again, whatever the session or the
// role of a worker has set: names are found in pg_catalog alone, constants have one form.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "utils/guc.h"
}

namespace safe_migrate::pg {

// Only around parsing, analysing and deparsing: plan and run under the user's own settings, since
// functions find their names there.  An error's abort restores them.
struct PinnedSettings {
	int nest;

	void enter()
	{
		nest = NewGUCNestLevel();
		set("search_path", "pg_catalog, pg_temp");
		set("DateStyle", "ISO, MDY");
		set("IntervalStyle", "postgres");
		set("extra_float_digits", "1");
		set("standard_conforming_strings", "on");
		set("transform_null_equals", "off");
		set("quote_all_identifiers", "off");
	}
	void leave() const { AtEOXact_GUC(true, nest); }

private:
	static void set(const char *name, const char *value)
	{
		(void)set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
								false);
	}
};

} // namespace safe_migrate::pg
