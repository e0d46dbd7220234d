// A job's own throttle query, in the worker.
#include "jobs/throttle/query.hpp"

#include "pg/guc.hpp"
#include "pg/json.hpp"
#include "pg/known_objects.hpp"
#include "pg/run_query.hpp"
#include "pg/transaction.hpp"

extern "C" {
#include "access/xact.h"
#include "executor/tuptable.h"
#include "parser/analyze.h"
#include "tcop/tcopprot.h"
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

struct Receiver {
	DestReceiver base;
	bool stop;
};

// The first row is enough.
bool receive(TupleTableSlot *slot, DestReceiver *self)
{
	slot_getallattrs(slot);
	reinterpret_cast<Receiver *>(self)->stop =
		!slot->tts_isnull[0] && DatumGetBool(slot->tts_values[0]);
	return false;
}

// The stored query, which names its objects as they are called now.
Query *analyse(const char *stored)
{
	const char *text = stored;
	List *objects = NIL;
	if (stored[0] == '{') {
		JsonbContainer *object = pg::json_parse(stored);
		text = pg::json_get_text(object, "query");
		objects = pg::read_known(pg::json_get_container(object, "objects"));
	}
	if (text == nullptr)
		elog(ERROR, "stored throttle query is malformed");
	RawStmt *statement = linitial_node(RawStmt, pg_parse_query(text));
	pg::bind_names(statement->stmt, objects);
	Query *query = parse_analyze_fixedparams(statement, text, nullptr, 0, nullptr);
	pg::check_known(reinterpret_cast<Node *>(query), objects, {});
	return query;
}

bool first_row_is_true(const char *stored)
{
	PushActiveSnapshot(GetTransactionSnapshot());
	Query *query = analyse(stored);
	PopActiveSnapshot();
	if (query->commandType != CMD_SELECT || query->hasModifyingCTE)
		elog(ERROR, "stored throttle query does not only read");
	Receiver receiver = {pg::plain_receiver(receive), false};
	pg::run_query(query, &receiver.base);
	return receiver.stop;
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
	run->stop = first_row_is_true(run->query);
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
