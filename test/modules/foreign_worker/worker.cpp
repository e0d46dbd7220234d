// run_in_worker(text): one statement of at most 100 bytes in a background worker of this library,
// in a transaction of its own; returns when the worker has ended.
#ifndef PGDLLEXPORT
#define PGDLLEXPORT __attribute__((visibility("default")))
#endif

extern "C" {
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

PG_MODULE_MAGIC;
PG_FUNCTION_INFO_V1(run_in_worker);
PGDLLEXPORT Datum run_in_worker(PG_FUNCTION_ARGS);
PGDLLEXPORT void test_worker_main(Datum arg);
}

struct Order {
	Oid database;
	Oid role;
	char sql[104];
};
static_assert(sizeof(Order) <= BGW_EXTRALEN);

Datum run_in_worker(PG_FUNCTION_ARGS)
{
	Order order = {MyDatabaseId, GetUserId(), {}};
	strlcpy(order.sql, text_to_cstring(PG_GETARG_TEXT_PP(0)), sizeof(order.sql));

	BackgroundWorker worker = {};
	strlcpy(worker.bgw_name, "worker of another extension", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "other worker", BGW_MAXLEN);
	strlcpy(worker.bgw_library_name, "safe_migrate_test_worker", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "test_worker_main", BGW_MAXLEN);
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	memcpy(worker.bgw_extra, &order, sizeof(order));
	BackgroundWorkerHandle *handle = nullptr;
	if (!RegisterDynamicBackgroundWorker(&worker, &handle))
		elog(ERROR, "no background worker is free");
	(void)WaitForBackgroundWorkerShutdown(handle);
	PG_RETURN_VOID();
}

void test_worker_main(Datum arg)
{
	Order order;
	memcpy(&order, MyBgworkerEntry->bgw_extra, sizeof(order));
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(order.database, order.role, 0);

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	(void)SPI_connect();
	PushActiveSnapshot(GetTransactionSnapshot());
	debug_query_string = order.sql;
	(void)SPI_execute(order.sql, false, 0);
	(void)SPI_finish();
	PopActiveSnapshot();
	CommitTransactionCommand();
	proc_exit(0);
}
