// See rehearsal.hpp.
#include "operations/ddl/rehearsal.hpp"

#include "operations/ddl/permission.hpp"
#include "operations/ddl/sql.hpp"
#include "pg/call_watch.hpp"
#include "pg/guc.hpp"
#include "pg/own_statement.hpp"
#include "pg/standby.hpp"
#include "pg/time_limit.hpp"
#include "pg/transaction.hpp"
#include "settings.hpp"

extern "C" {
#include "parser/parser.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"
}

namespace safe_migrate::operations::ddl {

namespace {

constexpr int64 little_bytes = 128 * 1024; // scanned, rewritten or built on in no time
constexpr int many_locks = 50;
constexpr int pause_ms = 5;		 // between two looks whether the locks are free
constexpr int held_wait_ms = 10; // for a lock that was not foreseen, while others are held

struct Rehearsal {
	const Recipe *recipe;
	pg::TimeLimit limit; // from the first strong lock on
	bool busy;			 // somebody was in the way of a strong lock
	bool stopped;		 // a function would have been called that may change what stays changed
	bool left_empty;	 // a table was made without the rows of its query
	bool says_rows;		 // of the step that is run: its failure has more to say about rows
};

// What runs scripts and queries takes as long as they take; triggers of others' see a TRUNCATE.
bool runs_for_long(const Node *statement)
{
	return IsA(statement, RefreshMatViewStmt) || IsA(statement, VacuumStmt) ||
		   IsA(statement, CreateExtensionStmt) || IsA(statement, AlterExtensionStmt) ||
		   IsA(statement, ImportForeignSchemaStmt) || IsA(statement, CreateTransformStmt) ||
		   IsA(statement, TruncateStmt);
}

const Node *parsed(const char *sql)
{
	return linitial_node(RawStmt, raw_parser(sql, RAW_PARSE_DEFAULT))->stmt;
}

// CREATE TABLE AS, CREATE MATERIALIZED VIEW: its columns are told without a row; nullptr: not
// these.
const char *without_its_query(const char *sql)
{
	const Node *statement = parsed(sql);
	if (!IsA(statement, CreateTableAsStmt) ||
		reinterpret_cast<const CreateTableAsStmt *>(statement)->into->skipData)
		return sql;
	const char *other = psprintf("%s\nWITH NO DATA", sql);
	return pg::try_undone([&] { (void)parsed(other); }) ? nullptr : other; // it says WITH DATA
}

bool is_brief(const RecipeStep &step)
{
	if (strcmp(step.kind, "statement") != 0 || !step.caller_path || step.n_locks > many_locks ||
		(statement::grows_with_size(step.effect) && (step.bytes < 0 || step.bytes > little_bytes)))
		return false;
	return !runs_for_long(parsed(step.sql)) && without_its_query(step.sql);
}

statement::Lock strongest_of(const RecipeStep &step)
{
	statement::Lock lock = statement::Lock::none;
	for (int i = 0; i < step.n_locks; i++)
		lock = Max(lock, step.locks[i].mode);
	return lock;
}

// As wait_for_standbys() looks: replay of the lock would wait for them, and stop who comes after.
bool standbys_read()
{
	pg::StandbySnapshot found[pg::most_standbys];
	return pg::standbys_with_snapshot_before(pg::next_transaction_id(), found) > 0;
}

// The strong locks where nobody is in the way: whoever comes waits for what is left of the try.
bool take_strong_locks(Rehearsal *rehearsal, const RecipeStep &step)
{
	statement::Lock strongest = strongest_of(step);
	if (!statement::is_strong(strongest))
		return true;
	if (strongest == statement::Lock::access_exclusive && standbys_read())
		return false;
	pg::begin_limit(&rehearsal->limit, settings::ddl_lock_try);
	pg::set_local_ms("lock_timeout", held_wait_ms);
	for (int i = 0; i < step.n_locks; i++) {
		Oid relation = step.locks[i].relation;
		auto mode = static_cast<LOCKMODE>(step.locks[i].mode);
		if (!statement::is_strong(step.locks[i].mode))
			continue;
		if (!ConditionalLockRelationOid(relation, mode)) {
			rehearsal->busy = true;
			return false;
		}
		(void)limit_hold(relation, mode); // for a function that catches the other one's cancel
	}
	return true;
}

// False: what follows may depend on a step that was left out.
bool run_steps(Rehearsal *rehearsal, const List *steps)
{
	ListCell *cell;
	foreach (cell, steps) {
		const auto *step = static_cast<const RecipeStep *>(lfirst(cell));
		if (step->plan) {
			Recipe planned = {};
			step->plan(&planned, *step);
			check_owners(planned);
			if (!run_steps(rehearsal, planned.steps))
				return false;
			continue;
		}
		if (!is_brief(*step) || !take_strong_locks(rehearsal, *step))
			return false;
		rehearsal->says_rows = step->sample_query != nullptr;
		const char *sql = without_its_query(step->sql);
		rehearsal->left_empty |= sql != step->sql;
		pg::without_calls(pg::Calls::of_volatile, &rehearsal->stopped,
						  [sql] { run_own_statement(sql, false); });
		if (rehearsal->stopped)
			return false; // the call's own error was caught by who made it
	}
	return true;
}

void run_quietly(Rehearsal *rehearsal)
{
	pg::set_local("client_min_messages", "error");
	pg::set_local_ms("lock_timeout", settings::ddl_lock_try);
	pg::set_local("session_replication_role", "replica",
				  PGC_SUSET); // event triggers stay out of it
	(void)run_steps(rehearsal, rehearsal->recipe->steps);
	CHECK_FOR_INTERRUPTS(); // the limit's belongs in here
}

// Errors that tell of the moment, or of all steps being in one transaction here, and not of the
// statement.
bool is_of_the_moment(const ErrorData *error)
{
	switch (error->sqlerrcode) {
		case ERRCODE_OBJECT_IN_USE:
		case ERRCODE_LOCK_NOT_AVAILABLE:
		case ERRCODE_UNSAFE_NEW_ENUM_VALUE_USAGE:
			return true;
		default:
			break;
	}
	switch (ERRCODE_TO_CATEGORY(error->sqlerrcode)) {
		case ERRCODE_CONNECTION_EXCEPTION:
		case ERRCODE_INVALID_TRANSACTION_STATE:
		case ERRCODE_TRANSACTION_ROLLBACK:
		case ERRCODE_INSUFFICIENT_RESOURCES:
		case ERRCODE_OPERATOR_INTERVENTION:
		case ERRCODE_SYSTEM_ERROR:
		case ERRCODE_INTERNAL_ERROR:
			return true;
		default:
			return false;
	}
}

bool is_violation(const ErrorData *error)
{
	return ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION;
}

// Of a materialized view that was not filled here: to be read, to be refreshed concurrently.
bool is_of_emptiness(const Rehearsal &rehearsal, const ErrorData *error)
{
	return rehearsal.left_empty && (error->sqlerrcode == ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE ||
									error->sqlerrcode == ERRCODE_FEATURE_NOT_SUPPORTED);
}

// True: the locks were not free, another try may have more luck.
bool try_once(Rehearsal *rehearsal)
{
	rehearsal->busy = rehearsal->stopped = false;
	rehearsal->left_empty = rehearsal->says_rows = false;
	ErrorData *error = pg::try_undone([&] { run_quietly(rehearsal); });
	(void)pg::take_own_statement_mark(); // where the error came before it was a statement
	bool over = pg::end_limit(&rehearsal->limit);
	if (!error)
		return rehearsal->busy;
	bool by_user = error->sqlerrcode == ERRCODE_QUERY_CANCELED && !over;
	if (by_user ||
		!(rehearsal->stopped || is_of_the_moment(error) || is_of_emptiness(*rehearsal, error) ||
		  (rehearsal->says_rows && is_violation(error))))
		ReThrowError(error);
	return error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE;
}

void pause_briefly()
{
	(void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, pause_ms,
					PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

} // namespace

void rehearse(const Recipe &recipe)
{
	Rehearsal rehearsal = {};
	rehearsal.recipe = &recipe;
	TimestampTz end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), settings::ddl_lock_try);
	while (try_once(&rehearsal) && GetCurrentTimestamp() < end)
		pause_briefly();
}

} // namespace safe_migrate::operations::ddl
