// A look at the catalog beside others who change it.
#pragma once
#include "pg/postgres.hpp"

#include "pg/transaction.hpp"

extern "C" {
#include "utils/inval.h"
}

namespace safe_migrate::guard {

// As pg::run_subtransaction().  What is judged is not locked yet, so that another session may drop
// it halfway, and a lookup then fails with an internal error (elog() of the server's); that is
// looked at again, for some 50 ms: the next look finds what that session left.
template <class F> ErrorData *look_at_catalog(F &&look)
{
	constexpr int tries = 10;
	ErrorData *error = nullptr;
	for (int i = 0; i < tries; i++) {
		error = pg::run_subtransaction(look);
		if (error == nullptr || error->sqlerrcode != ERRCODE_INTERNAL_ERROR)
			break;
		pg_usleep(1000L * i);
		AcceptInvalidationMessages();
	}
	return error;
}

} // namespace safe_migrate::guard
