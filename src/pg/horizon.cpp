// The xmin horizon: see horizon.hpp.
#include "pg/horizon.hpp"

extern "C" {
#include "storage/procarray.h"
}

namespace safe_migrate::pg {

bool is_past_horizon(TransactionId xid)
{
	return TransactionIdPrecedes(xid, GetOldestNonRemovableTransactionId(nullptr));
}

} // namespace safe_migrate::pg
