// PG_FINALLY and PG_CATCH for the other folders: a clean-up that runs whether or not the server
// raised an error, and other words for an error on its way.  All lambdas must capture trivially
// destructible things only.
#pragma once
#include "pg/postgres.hpp"

namespace safe_migrate::pg {

template <class Body, class CleanUp> void with_cleanup(Body &&body, CleanUp &&clean_up)
{
	PG_TRY();
	{
		body();
	}
	PG_CATCH(); // PG_FINALLY's own variable may be clobbered, gcc says
	{
		clean_up();
		PG_RE_THROW();
	}
	PG_END_TRY();
	clean_up();
}

// Runs body; an error with that SQLSTATE that it raises goes through edit(ErrorData *), which may
// give it other words, and on.
template <class Body, class Edit> void with_error_edited(int sqlstate, Body &&body, Edit &&edit)
{
	MemoryContext context = CurrentMemoryContext;
	PG_TRY();
	{
		body();
	}
	PG_CATCH();
	{
		if (geterrcode() != sqlstate)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		ErrorData *error = CopyErrorData();
		FlushErrorState();
		edit(error);
		ReThrowError(error);
	}
	PG_END_TRY();
}

} // namespace safe_migrate::pg
