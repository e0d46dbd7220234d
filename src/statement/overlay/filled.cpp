// Rows that the script adds: tables that are empty no more, or no longer small.  See note.hpp.
#include "statement/overlay/answer.hpp"
#include "statement/overlay/note.hpp"
#include "statement/overlay/row_target.hpp"

#include "settings.hpp"

extern "C" {
#include "nodes/parsenodes.h"
#include "utils/lsyscache.h"
}

namespace safe_migrate::statement::overlay {

namespace {

template <class T> const T *as(const Node *node) { return reinterpret_cast<const T *>(node); }

constexpr int few = 1000;

FilledEntry *entry_of(const Overlay *overlay, Oid relation, HASHACTION action)
{
	bool found;
	auto *entry =
		static_cast<FilledEntry *>(hash_search(overlay->filled, &relation, action, &found));
	if (entry != nullptr && !found)
		entry->rows_by = entry->many_by = 0;
	return entry;
}

bool calls_function(const List *targets)
{
	ListCell *cell;
	foreach (cell, targets) {
		if (IsA(lfirst_node(ResTarget, cell)->val, FuncCall))
			return true;
	}
	return false;
}

bool adds_many(const InsertStmt *insert)
{
	auto *select = as<SelectStmt>(insert->selectStmt);
	if (select == nullptr)
		return false;
	if (select->valuesLists != NIL)
		return list_length(select->valuesLists) > few;
	return select->fromClause != NIL || select->op != SETOP_NONE ||
		   calls_function(select->targetList);
}

bool inserts(const MergeStmt *merge)
{
	ListCell *cell;
	foreach (cell, merge->mergeWhenClauses) {
		if (lfirst_node(MergeWhenClause, cell)->commandType == CMD_INSERT)
			return true;
	}
	return false;
}

// New versions of all rows at once may make a small table large.
bool may_grow_large(Oid relation)
{
	int64 small = static_cast<int64>(settings::small_table_size) * 1024;
	int64 bytes = heap_bytes(relation);
	return bytes > 0 && bytes < small && bytes * 2 >= small / 4;
}

void mark(Overlay *overlay, Oid relation, bool many)
{
	FilledEntry *entry = entry_of(overlay, relation, HASH_ENTER);
	if (entry->rows_by == 0)
		entry->rows_by = overlay->statement_no;
	if (many && entry->many_by == 0)
		entry->many_by = overlay->statement_no;
	overlay->changes = true;
}

// What is under a table counts as its own.
void mark_above(Overlay *overlay, ScriptRelation *relation, bool many)
{
	List *seen = list_make1(relation);
	for (int i = 0; i < list_length(seen); i++) { // the list grows
		ListCell *cell;
		foreach (cell, static_cast<const ScriptRelation *>(list_nth(seen, i))->parents) {
			auto *parent = static_cast<ScriptRelation *>(lfirst(cell));
			if (parent->created_by != 0)
				seen = list_append_unique_ptr(seen, parent);
			else
				mark(overlay, parent->oid, many);
		}
	}
}

// True: one of the script's own.
bool put(Overlay *overlay, const RangeVar *name, bool many, bool is_update)
{
	Named named = resolve(overlay, name);
	if (named.is_new()) {
		if (is_update)
			return false;
		named.script->rows_by_insert = overlay->statement_no;
		if (many)
			named.script->filled_by = overlay->statement_no;
		mark_above(overlay, named.script, many);
		return true;
	}
	if (!OidIsValid(named.oid))
		return false;
	Oid relation = row_target(overlay, named, CMD_INSERT).relation;
	if (!is_update || may_grow_large(relation))
		mark(overlay, relation, many);
	return false;
}

bool note_query(Overlay *overlay, const Node *node);

void note_with(Overlay *overlay, const WithClause *with)
{
	ListCell *cell;
	foreach (cell, with != nullptr ? with->ctes : NIL)
		(void)note_query(overlay, lfirst_node(CommonTableExpr, cell)->ctequery);
}

bool note_query(Overlay *overlay, const Node *node)
{
	switch (nodeTag(node)) {
		case T_InsertStmt:
			note_with(overlay, as<InsertStmt>(node)->withClause);
			return put(overlay, as<InsertStmt>(node)->relation, adds_many(as<InsertStmt>(node)),
					   false);
		case T_UpdateStmt:
			note_with(overlay, as<UpdateStmt>(node)->withClause);
			return put(overlay, as<UpdateStmt>(node)->relation, true, true);
		case T_MergeStmt:
			note_with(overlay, as<MergeStmt>(node)->withClause);
			return put(overlay, as<MergeStmt>(node)->relation, true, !inserts(as<MergeStmt>(node)));
		case T_DeleteStmt:
			note_with(overlay, as<DeleteStmt>(node)->withClause);
			return false;
		case T_SelectStmt:
			note_with(overlay, as<SelectStmt>(node)->withClause);
			return false;
		default:
			return false;
	}
}

// Of the relation, its partitions, children and parents, the latest.
FilledEntry filled_of(const Overlay *overlay, Oid relation)
{
	FilledEntry found = {};
	List *family = list_concat(with_descendants(relation), ancestors(relation));
	ListCell *cell;
	foreach (cell, family) {
		const FilledEntry *entry = entry_of(overlay, lfirst_oid(cell), HASH_FIND);
		if (entry == nullptr)
			continue;
		found.rows_by = std::max(found.rows_by, entry->rows_by);
		found.many_by = std::max(found.many_by, entry->many_by);
	}
	return found;
}

bool hinges_on_size(const Finding &finding)
{
	return (grows_with_size(finding.effect) && is_strong(finding.lock)) ||
		   finding.cause == Cause::update_without_where ||
		   finding.cause == Cause::delete_without_where;
}

} // namespace

bool note_rows_added(Overlay *overlay, const Node *statement)
{
	if (!IsA(statement, CopyStmt))
		return note_query(overlay, statement);
	auto *copy = as<CopyStmt>(statement);
	if (copy->relation == nullptr)
		return note_query(overlay, copy->query);
	return copy->is_from && put(overlay, copy->relation, true, false);
}

void note_rows_under(Overlay *overlay, ScriptRelation *child)
{
	// How large a temporary table is, nobody looks up.
	bool many = child->filled_by != 0 || strcmp(child->schema, "pg_temp") == 0;
	if (child->created_by != 0 && (many || child->rows_by_insert != 0))
		mark_above(overlay, child, many);
}

void look_at_filled(const Overlay *overlay, Analysis *analysis)
{
	Effects *effects = analysis->effects;
	int n = effects->n;
	if (hash_get_num_entries(overlay->filled) == 0)
		return;
	for (int i = 0; i < n; i++) {
		Finding *finding = &effects->findings[i];
		bool by_size = hinges_on_size(*finding);
		if (!OidIsValid(finding->relation) || (finding->exempt != Exempt::empty && !by_size))
			continue;
		FilledEntry filled = filled_of(overlay, finding->relation);
		if (filled.rows_by != 0 && finding->exempt == Exempt::empty)
			finding->exempt = Exempt::no;
		if (by_size && filled.many_by > effects->depends_on)
			add_dependence(overlay, analysis, finding->relation, filled.many_by,
						   "how large the table is");
	}
}

} // namespace safe_migrate::statement::overlay
