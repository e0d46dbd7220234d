// See run_query.hpp.
#include "operations/backfill/run_query.hpp"

#include "pg/compat_analysis.hpp"

extern "C" {
#include "access/xact.h"
#include "executor/executor.h"
#include "rewrite/rewriteHandler.h"
#include "tcop/tcopprot.h"
#include "utils/snapmgr.h"
}

namespace safe_migrate::operations::backfill {

int64 run_query(Query *query, DestReceiver *receiver)
{
	List *rewritten = QueryRewrite(query);
	if (list_length(rewritten) != 1)
		elog(ERROR, "a rule changed the statement");
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	PlannedStmt *plan = pg_plan_query(linitial_node(Query, rewritten), "", 0, nullptr);
	QueryDesc *desc = CreateQueryDesc(plan, "", GetActiveSnapshot(), InvalidSnapshot, receiver,
									  nullptr, nullptr, 0);
	ExecutorStart(desc, 0);
	pg::run_executor(desc);
	auto processed = static_cast<int64>(desc->estate->es_processed);
	ExecutorFinish(desc);
	ExecutorEnd(desc);
	FreeQueryDesc(desc);
	PopActiveSnapshot();
	CommandCounterIncrement();
	return processed;
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

} // namespace safe_migrate::operations::backfill
