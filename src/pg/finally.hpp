// A clean-up that runs whether or not the server raised an error: PG_FINALLY for the
// other folders. Both lambdas must capture trivially destructible things only.
#pragma once
#include "pg/postgres.hpp"

namespace safe_migrate::pg {

template <class Body, class CleanUp> void with_cleanup(Body &&body, CleanUp &&clean_up)
{
	PG_TRY();
	{
		body();
	}
	PG_FINALLY();
	{
		clean_up();
	}
	PG_END_TRY();
}

} // namespace safe_migrate::pg
