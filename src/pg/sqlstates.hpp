// SQLSTATEs of the extension's own, in a class that neither the standard nor the server uses.
#pragma once
#include "pg/postgres.hpp"

namespace safe_migrate::pg {

constexpr int errcode_not_safe = MAKE_SQLSTATE('S', 'M', '0', '0', '1');	  // the guard's verdict
constexpr int errcode_not_succeeded = MAKE_SQLSTATE('S', 'M', '0', '0', '2'); // require(), wait()
constexpr int errcode_roll_back = MAKE_SQLSTATE('S', 'M', '0', '9', '9');	  // nobody sees it

} // namespace safe_migrate::pg
