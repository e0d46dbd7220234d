// DROP, RENAME, SET TABLESPACE of a database and CREATE DATABASE … TEMPLATE want it free of
// other sessions, and the server itself only sends autovacuum away.  Whichever database such a
// statement comes from, this stops the scheduler and the workers there and keeps them out until
// its transaction ends.  A job that was under way goes on afterwards where its database still is.
#include "jobs/database_lifecycle.hpp"

#include "jobs/shared.hpp"
#include "pg/compat.hpp"

extern "C" {
#include "access/xact.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "nodes/parsenodes.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "tcop/utility.h"
}

#include <csignal>

namespace safe_migrate::jobs {

namespace {

ProcessUtility_hook_type previous_hook = nullptr;
struct Barred {
	Oid database;
	bool had_work; // a scheduler or workers, who are to come back
};
Barred barred[8];
int n_barred = 0;
bool dropping = false;

// The database that must be free of sessions, InvalidOid when there is none or the caller could
// not do it anyway.
Oid database_to_free(Node *statement)
{
	const char *name = nullptr;
	bool as_template = false;
	switch (nodeTag(statement)) {
		case T_DropdbStmt:
			name = castNode(DropdbStmt, statement)->dbname;
			break;
		case T_RenameStmt:
			if (castNode(RenameStmt, statement)->renameType == OBJECT_DATABASE)
				name = castNode(RenameStmt, statement)->subname;
			break;
		case T_AlterDatabaseStmt: {
			ListCell *cell;
			foreach (cell, castNode(AlterDatabaseStmt, statement)->options)
				if (strcmp(lfirst_node(DefElem, cell)->defname, "tablespace") == 0)
					name = castNode(AlterDatabaseStmt, statement)->dbname;
			break;
		}
		case T_CreatedbStmt: {
			name = "template1";
			as_template = true;
			ListCell *cell;
			foreach (cell, castNode(CreatedbStmt, statement)->options)
				if (strcmp(lfirst_node(DefElem, cell)->defname, "template") == 0 &&
					lfirst_node(DefElem, cell)->arg)
					name = defGetString(lfirst_node(DefElem, cell));
			break;
		}
		default:
			break;
	}
	if (!name)
		return InvalidOid;
	Oid database = get_database_oid(name, true);
	if (!OidIsValid(database) || database == MyDatabaseId)
		return InvalidOid;
	return pg::may_free_database(database, as_template) ? database : InvalidOid;
}

void signal_processes(Oid database)
{
	Guard guard;
	Database *entry = find_database(database, false);
	if (entry && entry->scheduler_pid != 0)
		kill(entry->scheduler_pid, SIGTERM);
	for (const LiveWorker &worker : shared->workers)
		if (worker.used && worker.home.database == database && worker.pid != 0)
			kill(worker.pid, SIGTERM);
}

bool processes_gone(Oid database)
{
	Guard guard(LW_SHARED);
	Database *entry = find_database(database, false);
	if (entry && entry->scheduler_pid != 0)
		return false;
	for (const LiveWorker &worker : shared->workers)
		if (worker.used && worker.home.database == database && worker.pid != 0)
			return false;
	return true;
}

void bar(Oid database)
{
	if (n_barred >= static_cast<int>(lengthof(barred)))
		return;
	bool had_work = !processes_gone(database);
	{
		Guard guard;
		Database *entry = find_database(database, true);
		if (!entry)
			return;
		entry->bars++;
	}
	barred[n_barred++] = {database, had_work};
	signal_processes(database);
	for (int i = 0; i < 100 && !processes_gone(database); i++) {
		(void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 20,
						PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

void at_end(XactEvent event, void *)
{
	if (n_barred == 0 || (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT))
		return;
	bool gone = dropping && event == XACT_EVENT_COMMIT;
	for (int i = 0; i < n_barred; i++) {
		bool wake = barred[i].had_work;
		{
			Guard guard;
			if (Database *entry = find_database(barred[i].database, false)) {
				entry->bars--;
				wake = wake || entry->wanted; // somebody asked meanwhile
			}
			if (gone)
				forget_database(barred[i].database);
		}
		if (wake && !gone)
			wake_scheduler(barred[i].database);
	}
	n_barred = 0;
	dropping = false;
}

void hook(PlannedStmt *planned, const char *text, bool read_only_tree,
		  ProcessUtilityContext context, ParamListInfo params, QueryEnvironment *environment,
		  DestReceiver *dest, QueryCompletion *completion)
{
	if (shared) {
		Oid database = database_to_free(planned->utilityStmt);
		if (OidIsValid(database)) {
			bar(database);
			dropping = IsA(planned->utilityStmt, DropdbStmt);
		}
	}
	auto next = previous_hook ? previous_hook : standard_ProcessUtility;
	next(planned, text, read_only_tree, context, params, environment, dest, completion);
}

} // namespace

bool database_is_barred(Oid database)
{
	Guard guard(LW_SHARED);
	Database *entry = find_database(database, false);
	return entry && entry->bars > 0;
}

void install_database_lifecycle()
{
	previous_hook = ProcessUtility_hook;
	ProcessUtility_hook = hook;
	RegisterXactCallback(at_end, nullptr);
}

} // namespace safe_migrate::jobs
