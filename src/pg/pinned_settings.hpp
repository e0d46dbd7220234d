// The settings under which resolved texts are deparsed and read again, whatever the session or the
// role of a worker has set: names are found in pg_catalog alone, constants have one form.
#pragma once
#include "pg/guc.hpp"

namespace safe_migrate::pg {

struct PinnedSetting {
	const char *name;
	const char *value;
};
constexpr PinnedSetting pinned_settings[] = {
	{"search_path", "pg_catalog, pg_temp"}, {"DateStyle", "ISO, MDY"},
	{"IntervalStyle", "postgres"},			{"extra_float_digits", "1"},
	{"standard_conforming_strings", "on"},	{"transform_null_equals", "off"},
	{"quote_all_identifiers", "off"},		{"array_nulls", "on"},
};
// What has a say in how a constant is written, and none in how that is read again: a statement
// that runs under the settings above has its session's.
constexpr PinnedSetting pinned_for_writing[] = {
	{"TimeZone", "UTC"},
	{"bytea_output", "hex"},
};

// Only around parsing, analysing and deparsing: plan and run under the user's own settings, since
// functions find their names there.  An error's abort restores them.
struct PinnedSettings {
	int nest;

	void enter_to_run()
	{
		nest = NewGUCNestLevel();
		for (const PinnedSetting &setting : pinned_settings)
			set_in_level(setting.name, setting.value);
	}
	void enter()
	{
		enter_to_run();
		for (const PinnedSetting &setting : pinned_for_writing)
			set_in_level(setting.name, setting.value);
	}
	void leave() const { AtEOXact_GUC(true, nest); }
};

} // namespace safe_migrate::pg
