// Code that a script runs, functions and DO blocks: what it may do, as far as its text tells.
#pragma once
#include "statement/overlay/overlay.hpp"

namespace safe_migrate::statement::overlay {

struct Doings {
	bool fills;	 // adds rows to tables, nobody knows to which
	bool sets;	 // the search_path, or another setting
	List *words; // it adds some to one that is among these names
};

Doings doings_of_block(const Overlay *overlay, const DoStmt *block, const char *text);
// Of the functions that a query or a CALL calls.
Doings doings_of_calls(const Overlay *overlay, const Node *statement);

// Of the triggers of what rows are written to.
Doings doings_of_triggers(const Overlay *overlay, const Named &written);
void note_trigger(Overlay *overlay, const CreateTrigStmt *create);

void note_doings(Overlay *overlay, const Doings &doings);

// Of a function that the script creates.
void note_function(Overlay *overlay, const CreateFunctionStmt *create);

// Does the query call set_config() for the search_path, the role, or nobody knows what?
bool sets_path(const Node *query);

} // namespace safe_migrate::statement::overlay
