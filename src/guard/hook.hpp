// The guard's hooks: ProcessUtility for DDL, ExecutorStart for rows.
#pragma once

namespace safe_migrate::guard {

void prepare_settings(); // from _PG_init, before the settings are defined
void install_guard();	 // from _PG_init, where the library is preloaded

} // namespace safe_migrate::guard
