// What the overlay answers itself, where the catalog can't: among its own files.
#pragma once
#include "statement/overlay/overlay.hpp"
#include "statement/relations.hpp"

namespace safe_migrate::statement::overlay {

template <class T> T *copy_of(const T *node) { return static_cast<T *>(copyObjectImpl(node)); }

template <class T> void ask_catalog(const Overlay *overlay, Analysis *analysis, const T *statement)
{
	analyse_utility(analysis, reinterpret_cast<const Node *>(statement), overlay->location,
					overlay->length);
}

// Says on which statement this one depends; `relation` may be invalid.
void add_dependence(const Overlay *overlay, Analysis *analysis, Oid relation, int statement_no,
					const char *what);

// 42P01: an earlier statement has taken the name away.
void fails_for_lack_of(const Overlay *overlay, const RangeVar *name, int gone_by);
// … where one has.
void insist_on(const Overlay *overlay, const RangeVar *name, const Named &target);

// Does the script know the schema better than the catalog?  3F000: it has taken it away.
bool insist_on_schema(const Overlay *overlay, const char *schema);

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

bool has_name(const List *names, const char *name); // String nodes

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

void answer_create_table(const Overlay *overlay, Analysis *analysis, const CreateStmt *statement);
void answer_create_index(const Overlay *overlay, Analysis *analysis, const IndexStmt *create);
void answer_drop(const Overlay *overlay, Analysis *analysis, const DropStmt *statement);

} // namespace safe_migrate::statement::overlay
