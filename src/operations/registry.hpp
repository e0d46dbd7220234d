// The one list of what jobs can do.
#pragma once

namespace safe_migrate::operations {

void register_all(); // from _PG_init: hands the step runners down to jobs/

} // namespace safe_migrate::operations
