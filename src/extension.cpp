// Where the server enters: settings, hooks, launcher.  Reads as a table of contents.
#include "pg/postgres.hpp"
#include "settings.hpp"

extern "C" {
PG_MODULE_MAGIC;
PGDLLEXPORT void _PG_init(void);
}

void _PG_init(void)
{
	safe_migrate::define_settings();
}
