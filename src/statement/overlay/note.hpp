// How the overlay takes down what statements change: among its own files.
#pragma once
#include "statement/overlay/overlay.hpp"

namespace safe_migrate::statement::overlay {

// The script's record of what is named, made where there is none; nullptr: it does not exist.
ScriptRelation *relation_of(Overlay *overlay, const RangeVar *name);

// One statement, or an element of CREATE SCHEMA; its text where it has one.
void note_change(Overlay *overlay, const char *text, const Node *statement);

// INSERT, UPDATE, MERGE, COPY and queries with such ones; true: of a table of the script's own.
bool note_rows_added(Overlay *overlay, const Node *statement);

void note_prepared(Overlay *overlay, const PrepareStmt *statement);
void note_rows_under(Overlay *overlay, ScriptRelation *child); // of its new parents

void note_new_schema(Overlay *overlay, const char *schema);
void note_dropped_schema(Overlay *overlay, const char *schema, DropBehavior behavior);
void note_renamed_schema(Overlay *overlay, const char *from, const char *to);

// Settings: SET, RESET, set_config().
void note_set(Overlay *overlay, const VariableSetStmt *set);
bool note_set_config(Overlay *overlay, const FuncCall *call); // false: none, or not of constants
void reset_settings(Overlay *overlay);
void restore_settings(Overlay *overlay); // at COMMIT
bool is_local_setting(const Node *statement);

// Parts of ALTER TABLE and CREATE TABLE; column = of whose definition the constraint is a part.
void note_constraint(Overlay *overlay, ScriptRelation *relation, const Constraint *constraint,
					 const char *column);
// That the script has put it under: a table, or the composite type that it is of.
void note_parent(Overlay *overlay, ScriptRelation *child, ScriptRelation *parent);
ScriptRelation *type_of(Overlay *overlay, const TypeName *type); // nullptr: the script's, or none
void note_column_rename(Overlay *overlay, ScriptRelation *relation, const char *from,
						const char *to);
void note_constraint_rename(Overlay *overlay, ScriptRelation *relation, const char *from,
							const char *to);
void note_index_of(Overlay *overlay, Oid index); // its table has lost it

} // namespace safe_migrate::statement::overlay
