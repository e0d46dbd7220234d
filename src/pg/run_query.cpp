// See run_query.hpp.
#include "pg/run_query.hpp"

#include "pg/compat.hpp"
#include "pg/compat_analysis.hpp"
#include "pg/compat_executor.hpp"

extern "C" {
#include "access/xact.h"
#include "executor/executor.h"
#include "executor/instrument.h"
#include "rewrite/rewriteHandler.h"
#include "tcop/tcopprot.h"
#include "utils/snapmgr.h"
}

namespace safe_migrate::pg {

namespace {

// As show_instrumentation_count() of explain.c sees it before the node's last cycle is closed.
int64 rows_to_write(const QueryDesc *desc)
{
	if (!IsA(desc->planstate, ModifyTableState))
		return 0;
	return static_cast<int64>(rows_of_node(outerPlanState(desc->planstate)));
}

} // namespace

RowCounts run_query(Query *query, DestReceiver *receiver)
{
	List *rewritten = QueryRewrite(query);
	if (list_length(rewritten) != 1)
		elog(ERROR, "a rule changed the statement");
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	PlannedStmt *plan = plan_query(linitial_node(Query, rewritten), "");
	QueryDesc *desc = CreateQueryDesc(plan, "", GetActiveSnapshot(), InvalidSnapshot, receiver,
									  nullptr, nullptr, INSTRUMENT_ROWS);
	ExecutorStart(desc, 0);
	run_executor(desc);
	RowCounts counts = {rows_to_write(desc), static_cast<int64>(desc->estate->es_processed)};
	ExecutorFinish(desc);
	ExecutorEnd(desc);
	FreeQueryDesc(desc);
	PopActiveSnapshot();
	CommandCounterIncrement();
	return counts;
}

DestReceiver plain_receiver(bool (*receive)(TupleTableSlot *slot, DestReceiver *self))
{
	DestReceiver receiver = {};
	receiver.receiveSlot = receive;
	receiver.rStartup = [](DestReceiver *, int, TupleDesc) {};
	receiver.rShutdown = [](DestReceiver *) {};
	receiver.rDestroy = [](DestReceiver *) {};
	receiver.mydest = DestNone;
	return receiver;
}

} // namespace safe_migrate::pg
