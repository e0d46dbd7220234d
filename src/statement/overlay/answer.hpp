// What the overlay answers itself, where the catalog can't: among its own files.
#pragma once
#include "statement/overlay/overlay.hpp"
#include "statement/relations.hpp"

namespace safe_migrate::statement::overlay {

// Says on which statement this one depends; `relation` may be invalid.
void add_dependence(const Overlay *overlay, Analysis *analysis, Oid relation, int statement_no,
					const char *what);

// 42P01 where an earlier statement has taken the name away.
void insist_on(const Overlay *overlay, const RangeVar *name, const Named &target);

// A relation that only the script creates: whatever happens to it alone harms nobody.
void add_new(Analysis *analysis, const ScriptRelation *relation, Lock lock);
// … and to what is under it, which may be others'.
void judge_new(const Overlay *overlay, Analysis *analysis, const ScriptRelation *relation,
			   Lock lock);

// An effect on a relation that is there, of all its leaves; bytes are filled in by the effect.
Finding *add_answer(Analysis *analysis, Cause cause, Effect effect, Oid relation, Lock lock);

// A lock on a relation of either kind.
void add_script_lock(Analysis *analysis, const ScriptRelation *relation, Lock lock);

// Tables that the script has filled are not empty, and perhaps large.
void look_at_filled(const Overlay *overlay, Analysis *analysis);

// Changed in its columns, constraints, indexes or partitions.
bool is_changed(const ScriptRelation *relation);
// … or one of its partitions, children or parents; *by = the last statement that did.
bool family_is_changed(const Overlay *overlay, Oid relation, int *by);

// ALTER TABLE of a relation that is there; `live` takes the sub-commands for the catalog to answer.
void answer_alter_table(const Overlay *overlay, Analysis *analysis, const AlterTableStmt *alter,
						Oid relation, AlterTableStmt *live);
// … of a new one: only what it reaches from there.
void answer_alter_new(const Overlay *overlay, Analysis *analysis, const AlterTableStmt *alter,
					  const ScriptRelation *relation);

} // namespace safe_migrate::statement::overlay
