// A job's own throttle query, in the worker.
#include "jobs/throttle/query.hpp"

#include "pg/guc.hpp"
#include "pg/transaction.hpp"

extern "C" {
#include "access/xact.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"
}

namespace safe_migrate::jobs::throttle {

namespace {

struct Run {
	const char *query;
	Oid owner;
	int timeout_ms;
	bool stop;
};

bool first_row_is_true()
{
	if (SPI_processed == 0)
		return false;
	bool is_null;
	Datum value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null);
	return !is_null && DatumGetBool(value);
}

// The body of the transaction.  What the query's functions may have set is rolled back with
// the nest level; on error the abort does that, and stops the timeout.
void run(Run *run)
{
	Oid saved_user;
	int saved_security;
	GetUserIdAndSecContext(&saved_user, &saved_security);
	int nest = NewGUCNestLevel();
	pg::set_in_level("search_path", "pg_catalog, pg_temp");
	pg::set_in_level("standard_conforming_strings", "on"); // as it was deparsed
	pg::set_in_level("DateStyle", "ISO, MDY");
	pg::set_in_level("IntervalStyle", "postgres");
	XactReadOnly = true; // of this transaction; after the first snapshot nobody sets it back
	SetUserIdAndSecContext(run->owner, saved_security | SECURITY_RESTRICTED_OPERATION);
	enable_timeout_after(STATEMENT_TIMEOUT, run->timeout_ms);
	SPI_connect();
	PushActiveSnapshot(GetTransactionSnapshot());
	int result = SPI_execute(run->query, true, 1);
	if (result != SPI_OK_SELECT)
		elog(ERROR, "unexpected result of throttle query: %s", SPI_result_code_string(result));
	run->stop = first_row_is_true();
	PopActiveSnapshot();
	SPI_finish();
	disable_timeout(STATEMENT_TIMEOUT, false);
	SetUserIdAndSecContext(saved_user, saved_security);
	AtEOXact_GUC(false, nest);
}

} // namespace

Answer run_throttle_query(const char *query, Oid owner, int timeout_ms, char **message)
{
	Run body = {query, owner, timeout_ms, false};
	ErrorData *error = pg::run_transaction([&body] { run(&body); });
	if (error == nullptr)
		return body.stop ? Answer::stop : Answer::go;
	*message = pstrdup(error->message);
	FreeErrorData(error);
	return Answer::failed;
}

} // namespace safe_migrate::jobs::throttle
