// The gate every statement passes: judged, and let pass, warned about or rejected.
#pragma once
#include "pg/postgres.hpp"

#include "statement/analysis.hpp"

namespace safe_migrate::guard {

// What judging one statement left for after it.
struct Passage {
	MemoryContext memory; // that all of it is in
	statement::Effects effects;
	bool was_judged;
	ErrorData *failure;	 // of judging: the statement passes, the log says so
	const char *reason;	 // of an override that let it pass
	int64 overridden_at; // a TimestampTz
	List *rules;		 // names of those that it overrode
	List *relations;	 // on which it did
	bool is_queued;		 // a job will do it
	bool nowait;		 // nor is anybody waited for to judge it
	List *looked_at;	 // relations that are locked for it to be judged, as oids
	int64 waited_ms;	 // for these
};

// May raise SM001.
void pass_utility(Passage *passage, const Node *statement, const char *source, int location,
				  int length);
// fills: the command whose query it is, which fills a new table; else nullptr.
void pass_plan(Passage *passage, const PlannedStmt *plan, const char *source, const char *fills);
// Once the statement has succeeded.
void after_utility(Passage *passage);
void after_own_utility(); // one with the extension's own mark

// Statements that a job will carry out without harm by locks and scans: what is left is the loss of
// data and the breaking of clients.  May raise SM001; the reason of the override that let them
// pass, or nullptr.
const char *pass_queued(const char *sql);

// Are verdicts carried out?  Other extensions' workers get warnings at most: nobody reads what they
// are told.
bool is_enforced();
bool is_others_worker();
bool nobody_is_judged_here(); // in this process, now

} // namespace safe_migrate::guard
