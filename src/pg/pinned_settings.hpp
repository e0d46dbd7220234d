// The settings under which resolved texts are deparsed and read again, whatever the session or the
// role of a worker has set: names are found in pg_catalog alone, constants have one form.
#pragma once
#include "pg/guc.hpp"

namespace safe_migrate::pg {

// Only around parsing, analysing and deparsing: plan and run under the user's own settings, since
// functions find their names there.  An error's abort restores them.
struct PinnedSettings {
	int nest;

	void enter()
	{
		nest = NewGUCNestLevel();
		set_in_level("search_path", "pg_catalog, pg_temp");
		set_in_level("DateStyle", "ISO, MDY");
		set_in_level("IntervalStyle", "postgres");
		set_in_level("extra_float_digits", "1");
		set_in_level("standard_conforming_strings", "on");
		set_in_level("transform_null_equals", "off");
		set_in_level("quote_all_identifiers", "off");
	}
	void leave() const { AtEOXact_GUC(true, nest); }
};

} // namespace safe_migrate::pg
