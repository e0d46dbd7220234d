// Top-level transactions and subtransactions with a catch: see transaction.hpp.
#include "pg/transaction.hpp"

#include "pg/compat.hpp"

extern "C" {
#include "access/xact.h"
#include "parser/analyze.h"
#include "pgstat.h"
#include "tcop/pquery.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/portal.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"
}

namespace safe_migrate::pg {

namespace {

// Copies the error being handled into `context` and leaves the top-level transaction,
// in the order of PostgresMain()'s handler.
ErrorData *abort_after_error(MemoryContext context, int log_level)
{
	HOLD_INTERRUPTS();
	disable_all_timeouts(false);
	QueryCancelPending = false;
	MemoryContextSwitchTo(context);
	ErrorData *error = CopyErrorData();
	if (log_level > 0)
		EmitErrorReport();
	debug_query_string = nullptr;
	AbortCurrentTransaction();
	MemoryContextSwitchTo(context);
	FlushErrorState();
	RESUME_INTERRUPTS();
	return error;
}

// The body of run_transaction() between the two jumps; no locals that change.
ErrorData *guarded(Body body, void *arg, int log_level, bool own_transaction)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorData *volatile error = nullptr;

	PG_TRY();
	{
		SetCurrentStatementStartTimestamp();
		if (own_transaction)
			StartTransactionCommand();
		body(arg);
		if (own_transaction)
			CommitTransactionCommand();
	}
	PG_CATCH();
	{
		error = abort_after_error(context, log_level);
	}
	PG_END_TRY();

	MemoryContextSwitchTo(context);
	pgstat_report_stat(true);
	return error;
}

} // namespace

ErrorData *run_transaction(Body body, void *arg, int log_level)
{
	Assert(!IsTransactionState());
	ErrorData *error = guarded(body, arg, log_level, true);
	pgstat_report_activity(STATE_IDLE, nullptr);
	return error;
}

namespace {

ErrorData *in_subtransaction(Body body, void *arg, bool keep)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData *volatile error = nullptr;

	BeginInternalSubTransaction(nullptr);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		body(arg);
		if (keep)
			ReleaseCurrentSubTransaction();
		else
			RollbackAndReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return error;
}

} // namespace

ErrorData *run_subtransaction(Body body, void *arg) { return in_subtransaction(body, arg, true); }

ErrorData *try_undone(Body body, void *arg) { return in_subtransaction(body, arg, false); }

void run_undone(Body body, void *arg)
{
	ErrorData *error = try_undone(body, arg);
	if (error)
		ReThrowError(error);
}

namespace {

struct Statement {
	const char *sql;
	const char *activity;
	MemoryContext memory; // where parse tree and plan live: outside the transactions it makes
};

// As exec_simple_query() does for one statement; the statement may commit inside.
void execute_statement(void *arg)
{
	auto *statement = static_cast<Statement *>(arg);

	debug_query_string = statement->sql;
	pgstat_report_activity(STATE_RUNNING, statement->activity);
	StartTransactionCommand();
	MemoryContextSwitchTo(statement->memory);

	List *parsed = pg_parse_query(statement->sql);
	if (list_length(parsed) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR), errmsg("exactly one statement is expected")));
	auto *raw = linitial_node(RawStmt, parsed);
	if (IsA(raw->stmt, TransactionStmt))
		ereport(ERROR, (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
						errmsg("transaction control is not allowed here")));

	bool snapshot = analyze_requires_snapshot(raw);
	if (snapshot)
		PushActiveSnapshot(GetTransactionSnapshot());
	List *queries = pg_analyze_and_rewrite_fixedparams(raw, statement->sql, nullptr, 0, nullptr);
	List *plans = pg_plan_queries(queries, statement->sql, CURSOR_OPT_PARALLEL_OK, nullptr);
	if (snapshot)
		PopActiveSnapshot();
	CHECK_FOR_INTERRUPTS();

	Portal portal = CreatePortal("", true, true);
	portal->visible = false;
	PortalDefineQuery(portal, nullptr, statement->sql, CreateCommandTag(raw->stmt), plans, nullptr);
	PortalStart(portal, nullptr, 0, InvalidSnapshot);
	QueryCompletion completion;
	portal_run(portal, None_Receiver, &completion);
	PortalDrop(portal, false);

	CommitTransactionCommand();
	debug_query_string = nullptr;
	pgstat_report_activity(STATE_IDLE, nullptr);
}

} // namespace

ErrorData *run_toplevel(const char *sql, const char *activity, int log_level)
{
	Assert(!IsTransactionState());
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext memory =
		AllocSetContextCreate(TopMemoryContext, "safe_migrate statement", ALLOCSET_DEFAULT_SIZES);
	Statement statement = {sql, activity, memory};
	ErrorData *error = guarded(execute_statement, &statement, log_level, false);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(memory);
	return error;
}

bool is_retryable(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED ||
		   error->sqlerrcode == ERRCODE_T_R_SERIALIZATION_FAILURE ||
		   error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE;
}

} // namespace safe_migrate::pg
