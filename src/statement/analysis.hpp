// Statement in, effects out: the server's own functions asked on the live catalog.  Nothing is
// executed, no user-written code runs, no lock stronger than AccessShare is taken, and that one is
// given back before the call returns.  Every frame here is a server frame (pg/boundary.hpp);
// results are palloc'd in the memory context that is current at the call.
#pragma once
#include "pg/postgres.hpp"

#include "statement/effects.hpp"

extern "C" {
#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"
}

namespace safe_migrate::statement {

// What names mean besides the catalog: relations.hpp.
struct NameSource;

struct Analysis {
	const char *source;		 // text of the whole query string; may be nullptr
	const NameSource *names; // of earlier statements of a script; nullptr: the live catalog alone
	Effects *effects;		 // what is found is added here
	bool in_transaction;	 // an explicit transaction block or a function is around it
	bool at_once;			 // nothing comes between, neither a statement nor time
	const char *source_end;	 // of the statement within the source; set by place_statement()
};

// May the statement have an effect at all?  By its node tag, without a catalog: costs nothing
// where there is nothing to judge (SET, transaction control, SELECT, COPY …).
bool may_have_effects(const Node *statement);

// The effects of a utility statement, as the parser left it (the tree is not changed), placed in
// the source text at location, of that length (-1 and 0: all of it, as in PlannedStmt).  Errors of
// the server's own (no such table …) are raised as they are: the statement itself would raise them.
void analyse_utility(Analysis *analysis, const Node *statement, int location, int length);

// The effects of a planned INSERT, UPDATE, DELETE or MERGE, data-modifying CTEs included.
void analyse_plan(Analysis *analysis, const PlannedStmt *plan);
// Does it, as far as the plan shows at a glance, update or delete all rows of a table?  Costs next
// to nothing.
bool writes_all_rows(const PlannedStmt *plan);

// ---------------------------------------------------------------- for the families

Finding *append_finding(Effects *effects);				// a zeroed one
Finding *first_finding(Effects *effects, Oid relation); // nullptr where there is none
// Findings have gone or changed places.
void findings_moved(Effects *effects);

// Where the statement is in its source: done by analyse_utility().
void place_statement(Analysis *analysis, int location, int length);

// Adds a zeroed finding with these, of which the family fills in the rest.  Fills schema, name,
// exempt and is_target = false; bytes = 0.  For a relation that is there.
Finding *add_finding(Analysis *analysis, Cause cause, Effect effect, Oid relation, Lock lock);

// Without the right nobody gets the locks that the findings foretell.
void add_right(Analysis *analysis, Oid class_id, Oid object, Right right, Oid role = InvalidOid);
Object *append_object(Effects *effects); // a zeroed one

// The families; each adds findings.  Sub-commands of an ALTER TABLE are handed to them one by one.
void analyse_alter_table(Analysis *analysis, const AlterTableStmt *statement);
void analyse_move_all(Analysis *analysis, const AlterTableMoveAllStmt *statement);
// Sub-commands ATTACH PARTITION (of a table or of an index) and DETACH PARTITION [CONCURRENTLY].
void analyse_attach_partition(Analysis *analysis, Oid parent, const AlterTableCmd *command);
void analyse_detach_partition(Analysis *analysis, Oid parent, const AlterTableCmd *command);
void analyse_create_table(Analysis *analysis, const CreateStmt *statement); // REFERENCES, OF
void analyse_create_schema(Analysis *analysis, const CreateSchemaStmt *statement);
void analyse_create_index(Analysis *analysis, const IndexStmt *statement);
void analyse_reindex(Analysis *analysis, const ReindexStmt *statement);
void analyse_drop(Analysis *analysis, const DropStmt *statement);
void analyse_rename(Analysis *analysis, const RenameStmt *statement);
void analyse_domain(Analysis *analysis, const AlterDomainStmt *statement);
void analyse_enum(Analysis *analysis, const AlterEnumStmt *statement);
void analyse_truncate(Analysis *analysis, const TruncateStmt *statement);
// VACUUM FULL, CLUSTER, REFRESH, triggers, rules, policies, LOCK, SET SCHEMA, OWNER, DROP OWNED,
// views replaced, sequences altered, …
void analyse_maintenance(Analysis *analysis, const Node *statement);

} // namespace safe_migrate::statement
