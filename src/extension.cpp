// Where the server enters: settings, hooks, launcher.  Reads as a table of contents.
#include "pg/postgres.hpp"

#include "guard/gate.hpp"
#include "guard/hook.hpp"
#include "guard/lock_budget.hpp"
#include "jobs/at_commit.hpp"
#include "jobs/database_lifecycle.hpp"
#include "jobs/processes.hpp"
#include "jobs/shared.hpp"
#include "operations/ddl/permission.hpp"
#include "operations/registry.hpp"
#include "pg/session_relations.hpp"
#include "settings.hpp"

extern "C" {
PG_MODULE_MAGIC;
PGDLLEXPORT void _PG_init(void);
}

void _PG_init(void)
{
	using namespace safe_migrate;

	guard::prepare_settings();
	define_settings();
	operations::register_all();
	operations::ddl::use_permission(guard::pass_queued);
	operations::ddl::use_hold_limit(guard::limit_queued_hold);
	if (!process_shared_preload_libraries_in_progress || IsBinaryUpgrade)
		return; // functions say what is missing

	pg::remember_session_relations();
	guard::install_guard();
	guard::install_lock_budget(); // around the guard's own hook: after it
	guard::tell_session_end_by(jobs::keep_last_words);
	jobs::install_shared_memory();
	jobs::install_at_commit();
	jobs::install_database_lifecycle();
	jobs::register_launcher();
}
