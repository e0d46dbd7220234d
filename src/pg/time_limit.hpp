// How long a piece of work may take, besides what the session's statement_timeout lets it.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "datatype/timestamp.h"
}

namespace safe_migrate::pg {

struct TimeLimit {
	TimestampTz end;   // 0: none is set
	TimestampTz other; // when statement_timeout would have ended the statement; 0: never
};

// From now on: work that takes longer is cancelled, with 57014.
void begin_limit(TimeLimit *limit, int ms);

// To be called once the work is over, errors caught.  True: the time was over, too; a 57014 of the
// work is the limit's then.
bool end_limit(TimeLimit *limit);

} // namespace safe_migrate::pg
