// What the earlier statements of a script would have changed, so that a later one can be judged
// against the catalog as it will be then.  It knows relations (created, renamed, dropped), columns,
// constraints, indexes, partitions, transaction blocks and the search_path; everything else only by
// name.  A statement whose effects follow from the catalog and from what is known here gets them;
// any other one says on which statement it depends.  It never takes a guess for the better.
#pragma once
#include "statement/analysis.hpp"
#include "statement/relations.hpp"

extern "C" {
#include "nodes/pg_list.h"
#include "utils/hsearch.h"
}

namespace safe_migrate::statement::overlay {

// Statements are numbered from 1; 0 = by none.  Names are without quotes.
struct ScriptColumn {
	const char *name;
	int added_by;
	int changed_by;	 // retyped, renamed or dropped
	int not_null_by; // the later of these two holds
	int nullable_by;
};

struct ScriptConstraint {
	const char *name; // nullptr = the server will choose it
	ConstrType type;
	int added_by; // 0: it was there
	int validated_by;
	int dropped_by;
	List *columns;				   // names: its keys, or what a CHECK proves not to be NULL
	struct ScriptRelation *parent; // that a foreign key refers to
};

struct ScriptRelation {
	Oid oid; // 0: only the script creates it
	const char *schema;
	const char *name; // by now
	char kind;		  // RELKIND_… where the script creates it
	int created_by;
	bool until_commit;	 // ON COMMIT DROP
	int changed_by;		 // the last that did anything to it
	int gone_by;		 // dropped
	int renamed_by;		 // itself or its schema
	int indexes_by;		 // an index was added or dropped
	int partitions_by;	 // a partition with rows was attached, or one was detached
	int foreign_keys_by; // a foreign key from or to it was added
	int referenced_by;	 // … to it
	int storage_by;		 // SET LOGGED, TABLESPACE, ACCESS METHOD
	int filled_by;		 // of a new one: it got many rows
	int rows_by_insert;	 // … some
	int rows_by;		 // what it shows as a view, its rules, its INSTEAD OF triggers
	List *columns;		 // ScriptColumn
	List *constraints;	 // ScriptConstraint
	List *key;			 // of an index: the names of its columns; NIL with expressions
	bool is_unique;		 // … it is
	bool runs_code;		 // rules or INSTEAD OF triggers were added
	Oid base_oid;		 // of a view: the one relation that it is of, by either of these
	ScriptRelation *base;
	ScriptRelation *of; // of an index: its table; of a partition: its parent
	List *parents;		// ScriptRelation: that the script puts it under, its composite type too
};

struct ScriptFunction {
	const char *name;
	const char *source; // nullptr: it is no text
};

struct ScriptTrigger {
	Oid oid; // of its table
	const ScriptRelation *relation;
	const char *function;
};

// Rows that were added to a relation that was there: its blocks stay after a ROLLBACK.
struct FilledEntry {
	Oid oid;
	int rows_by; // statements; 0 = none
	int many_by;
};

// A strong lock that the open transaction block holds.
struct HeldLock {
	Oid relation;
	int statement_no;
	bool on_empty; // nobody's work waits for it, but whoever uses the table does
};

// What is noted again after a ROLLBACK.
struct LoggedStatement {
	const char *text;
	const Node *statement;
	int statement_no;
};

struct Savepoint {
	const char *name; // nullptr: the beginning of the block
	int log_length;
	int statement_no;
};

constexpr int n_settings = 8; // that are followed

struct Overlay : NameSource {
	MemoryContext parent_memory;
	MemoryContext memory;
	int statement_no;	  // that is looked at
	int location, length; // of its text
	HTAB *by_name;		  // (schema, name) → ScriptRelation, or that the name is free now
	HTAB *by_oid;		  // → ScriptRelation of a relation that was there
	HTAB *filled;		  // → FilledEntry
	HTAB *filled_names;	  // names in code that adds rows to some of them → by the last
	HTAB *names;	 // unqualified name of a relation that was changed in any way → by the last
	HTAB *objects;	 // name of anything else that was created, changed or dropped → by which
	HTAB *unseen;	 // words of DO blocks: what they did to a relation of that name, nobody knows
	HTAB *mentioned; // every identifier of the statements that change the catalog → by the last
	int mentions_all_by; // one had identifiers that can't be read
	int ties_by;   // what was there before the script may depend on something else, or belong to it
	int typed_by;  // … may have a column of a type that is not built in
	HTAB *schemas; // name → SchemaState
	List *search_path;
	// By their place in note_set.cpp; nullptr where the script has not changed them.
	const char *settings[n_settings];
	const char *after_block[n_settings]; // what SET LOCAL hides until COMMIT
	int guc_nest;
	int casts_by;	// casts, operators: what a change of type may hinge on
	int objects_by; // the last of `objects` that is no plain type
	int publications_by;
	int storage_by;	 // ALTER TABLE ALL IN TABLESPACE
	int unknown_by;	 // an extension, a DO block: what it changed can't be told
	int path_by;	 // which search_path it left, can't be told
	int rights_by;	 // who may use which schema, can't be told any more
	List *functions; // ScriptFunction
	List *triggers;	 // ScriptTrigger
	bool changes;	 // is there anything above?
	bool is_noting;	 // what the statement at hand did: no place for its errors
	bool *fails;	 // the statement at hand names what the script has dropped
	bool *by_path;	 // … a relation without its schema, since path_by
	int fills_by;	 // code that may have added rows to any table; they stay after a ROLLBACK
	List *prepared;	 // PrepareStmt

	bool in_block;
	int block_begin;
	List *held;		// HeldLock *
	int unsure_by;	// a statement of the block whose locks nobody knows; told once
	Oid written;	// the statement at hand writes so many of its rows; < 0: nobody knows
	bool inserts;	// adds them
	bool fills_new; // the rows go to a new table of the script's
	double rows;
	bool rows_were_told; // once a block
	List *log;			 // LoggedStatement *: what is noted again after a ROLLBACK
	List *savepoints;	 // Savepoint *
};

// In the current memory context, which has to outlive it.  Ends with end_script(), or the
// transaction.
Overlay *begin_script();
void end_script(Overlay *overlay);

// The effects of the next statement of the script.  Raises the errors that the statement itself
// would raise.
void analyse_in_script(Overlay *overlay, Analysis *analysis, const RawStmt *raw);

// What the statement does to its transaction block, and the block to it: adds findings on the locks
// held.  After analyse_in_script().
void judge_in_block(Overlay *overlay, Analysis *analysis, const RawStmt *raw);

// Does the transaction block hold a strong lock that somebody's work waits for, or may it?
bool holds_strong_lock(const Overlay *overlay);

// What it does, hence what its block holds from here, is not known.
void note_unsure(Overlay *overlay);

// That it has been carried out.  Not in a subtransaction: it may change the search_path.
void note_statement(Overlay *overlay, const char *source, const RawStmt *raw);

// The last statement that changed something of a name that the text mentions; 0 = none did.
int names_changed_by(const Overlay *overlay, const char *source, const RawStmt *raw);

// Is there something of the old name again at the end of the transaction block that the statement
// at hand is in?  `statements`: RawStmt, of the whole script.
bool is_rename_taken_back(const Overlay *overlay, const List *statements, const Finding &renamed);

// ---------------------------------------------------------------- among the files of the overlay

// What a name means by now: a relation of the script's, one of the catalog's (`script` may be
// nullptr then: unchanged), or neither.  gone_by: the statement that took it away.
struct Named {
	ScriptRelation *script;
	Oid oid;
	int gone_by;
	bool is_new() const { return script != nullptr && script->created_by != 0; }
	bool exists() const { return is_new() || OidIsValid(oid); }
};
Named resolve(const Overlay *overlay, const RangeVar *name);
RangeVar *range_var_of(const List *names); // of a DROP

// The script's record of a relation that is there; made where there is none.
ScriptRelation *record_of(Overlay *overlay, Oid relation);
ScriptRelation *find_record(const Overlay *overlay, Oid relation);
// nullptr: the statement fails, as the name is taken or its schema is not there.
ScriptRelation *add_relation(Overlay *overlay, const RangeVar *name, char kind);
bool is_taken(const Overlay *overlay, const char *schema, const char *name);
// Where CREATE puts it; "" = nowhere.
const char *creation_schema(const Overlay *overlay, const RangeVar *name);
void rename_relation(Overlay *overlay, ScriptRelation *relation, const char *schema,
					 const char *name);
void drop_relation(Overlay *overlay, ScriptRelation *relation);
void drop_temporary(Overlay *overlay, bool at_commit); // ON COMMIT DROP; else DISCARD TEMP

ScriptColumn *find_column(const ScriptRelation *relation, const char *name);
ScriptColumn *column_of(Overlay *overlay, ScriptRelation *relation, const char *name);
ScriptConstraint *find_constraint(const ScriptRelation *relation, const char *name);

// Enums, composite and range types are plain: a column of one costs what a text column costs.
enum class ObjectKind : uint8_t { other, plain_type };
void note_object(Overlay *overlay, const char *name, ObjectKind kind = ObjectKind::other);
void note_mention(Overlay *overlay, const char *name);
void note_unseen(Overlay *overlay, const char *name);
int object_changed_by(const Overlay *overlay, const char *name);
bool is_new_plain_type(const Overlay *overlay, const char *name);
int mentioned_by(const Overlay *overlay, const char *name);
int relation_changed_by(const Overlay *overlay, const char *name); // one of that name, anywhere
int perhaps_changed_by(const Overlay *overlay, const char *relation_name);
void note_filled_name(Overlay *overlay, const char *name);
int filled_name_by(const Overlay *overlay, const char *relation_name);
void note_alter_table(Overlay *overlay, ScriptRelation *relation, const AlterTableStmt *statement);

// Of a schema that the script has created, dropped or renamed; changed_by = 0: of none such.
struct SchemaState {
	bool exists;
	int changed_by;
};
HTAB *make_schemas(MemoryContext memory);
SchemaState state_of_schema(const Overlay *overlay, const char *schema);
bool schema_exists(const Overlay *overlay, const char *schema);
// Where the catalog has what is in it; InvalidOid: nowhere, by now.
Oid namespace_of(const Overlay *overlay, const char *schema);
// ScriptRelation of all that the script has put there, by name.
List *relations_in(const Overlay *overlay, const char *schema);
List *views_of(const Overlay *overlay, const ScriptRelation *relation); // of it alone, by now

void set_search_path(Overlay *overlay, const char *value);
Oid role_by_now(const Overlay *overlay); // InvalidOid: one that the script makes
void forget_changes(Overlay *overlay);	 // all but the log

// An expression or definition of the parse tree names something that the script changed, other
// than relations and columns: the statement's number, *what = its name.
int names_changed_object(const Overlay *overlay, Node *node, const char **what);
// … a column of the relation that the script added or changed.
bool names_changed_column(const ScriptRelation *relation, Node *expression);
// The columns that a CHECK shows not to be NULL: `c IS NOT NULL`, also inside AND.
List *columns_proven_not_null(const Node *check);

} // namespace safe_migrate::statement::overlay
