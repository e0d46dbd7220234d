// Rows that the script adds: tables that are empty no more, or no longer small.  See note.hpp.
#include "statement/overlay/answer.hpp"
#include "statement/overlay/code.hpp"
#include "statement/overlay/note.hpp"
#include "statement/overlay/row_target.hpp"

#include "settings.hpp"

extern "C" {
#include "access/sysattr.h"
#include "catalog/partition.h"
#include "commands/prepare.h"
#include "nodes/bitmapset.h"
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

bool is_key_column(Oid table, const char *column)
{
	AttrNumber number = get_attnum(table, column);
	Relation relation = number != InvalidAttrNumber ? open_judged(table) : nullptr;
	if (relation == nullptr)
		return false;
	bool in_expression;
	bool is_key = has_partition_attrs(
		relation, bms_make_singleton(number - FirstLowInvalidHeapAttributeNumber), &in_expression);
	close_judged(relation);
	return is_key;
}

// An update of a partition key moves rows into other partitions.
bool may_move_rows(Oid table, const List *updated)
{
	ListCell *cell;
	ListCell *other;
	if (get_rel_relkind(table) != RELKIND_PARTITIONED_TABLE)
		return false;
	foreach (cell, with_descendants(table)) {
		if (get_rel_relkind(lfirst_oid(cell)) != RELKIND_PARTITIONED_TABLE)
			continue;
		foreach (other, updated) {
			if (is_key_column(lfirst_oid(cell), lfirst_node(ResTarget, other)->name))
				return true;
		}
	}
	return false;
}

// What is written: rows are added, or these columns changed.
struct Written {
	bool many;
	bool is_update;
	List *columns; // ResTarget
};

void note_any_filled(Overlay *overlay) { note_doings(overlay, {true, false, NIL}); }

// Past the views that the script has made.
Named behind_views(Overlay *overlay, Named named)
{
	constexpr int deep = 100; // more would be a circle
	for (int i = 0; i < deep && named.script != nullptr; i++) {
		if (named.script->runs_code)
			note_any_filled(overlay);
		if (named.script->base == nullptr && !OidIsValid(named.script->base_oid))
			break;
		named = {named.script->base, named.script->base_oid, 0};
	}
	return named;
}

bool put(Overlay *overlay, Named named, const Written &written)
{
	named = behind_views(overlay, named);
	note_doings(overlay, doings_of_triggers(overlay, named));
	if (named.is_new()) {
		if (written.is_update || named.script->kind == RELKIND_VIEW)
			return false;
		named.script->rows_by_insert = overlay->statement_no;
		if (written.many)
			named.script->filled_by = overlay->statement_no;
		mark_above(overlay, named.script, written.many);
		return true;
	}
	if (!OidIsValid(named.oid))
		return false;
	const RowTarget target = row_target(overlay, named, CMD_INSERT);
	if (target.changed_by != 0 || target.is_rewritten)
		note_any_filled(overlay);
	if (target.relation != named.oid)
		note_doings(overlay, doings_of_triggers(overlay, {nullptr, target.relation, 0}));
	const bool moves =
		written.is_update &&
		(target.views != NIL ? get_rel_relkind(target.relation) == RELKIND_PARTITIONED_TABLE
							 : may_move_rows(target.relation, written.columns));
	if (!written.is_update || moves || may_grow_large(target.relation))
		mark(overlay, target.relation, written.many);
	return false;
}

// True: one of the script's own.
bool put(Overlay *overlay, const RangeVar *name, const Written &written)
{
	return put(overlay, resolve(overlay, name), written);
}

List *updated_columns(const MergeStmt *merge)
{
	List *columns = NIL;
	ListCell *cell;
	foreach (cell, merge->mergeWhenClauses) {
		auto *clause = lfirst_node(MergeWhenClause, cell);
		if (clause->commandType == CMD_UPDATE)
			columns = list_concat(columns, clause->targetList);
	}
	return columns;
}

// By its name, in the script or in this session; nullptr: nobody knows.
const Node *prepared_query(const Overlay *overlay, const char *name)
{
	for (int i = list_length(overlay->prepared) - 1; i >= 0; i--) {
		auto *statement = list_nth_node(PrepareStmt, overlay->prepared, i);
		if (strcmp(statement->name, name) == 0)
			return statement->query;
	}
	const PreparedStatement *prepared = FetchPreparedStatement(name, false);
	const RawStmt *raw = prepared != nullptr ? prepared->plansource->raw_parse_tree : nullptr;
	return raw != nullptr ? raw->stmt : nullptr;
}

bool note_query(Overlay *overlay, const Node *node);

void note_with(Overlay *overlay, const WithClause *with)
{
	ListCell *cell;
	foreach (cell, with != nullptr ? with->ctes : NIL)
		(void)note_query(overlay, lfirst_node(CommonTableExpr, cell)->ctequery);
}

bool note_prepared_query(Overlay *overlay, const ExecuteStmt *execute)
{
	const Node *query = prepared_query(overlay, execute->name);
	if (query != nullptr)
		return note_rows_added(overlay, query);
	note_any_filled(overlay);
	return false;
}

bool note_query(Overlay *overlay, const Node *node)
{
	switch (nodeTag(node)) {
		case T_InsertStmt:
			note_with(overlay, as<InsertStmt>(node)->withClause);
			return put(overlay, as<InsertStmt>(node)->relation,
					   {adds_many(as<InsertStmt>(node)), false, NIL});
		case T_UpdateStmt:
			note_with(overlay, as<UpdateStmt>(node)->withClause);
			return put(overlay, as<UpdateStmt>(node)->relation,
					   {true, true, as<UpdateStmt>(node)->targetList});
		case T_MergeStmt:
			note_with(overlay, as<MergeStmt>(node)->withClause);
			return put(overlay, as<MergeStmt>(node)->relation,
					   {true, !inserts(as<MergeStmt>(node)), updated_columns(as<MergeStmt>(node))});
		case T_ExecuteStmt:
			return note_prepared_query(overlay, as<ExecuteStmt>(node));
		case T_DeleteStmt:
			note_with(overlay, as<DeleteStmt>(node)->withClause);
			note_doings(overlay, doings_of_triggers(
									 overlay, resolve(overlay, as<DeleteStmt>(node)->relation)));
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

bool is_query(const Node *statement)
{
	return IsA(statement, SelectStmt) || IsA(statement, InsertStmt) || IsA(statement, UpdateStmt) ||
		   IsA(statement, DeleteStmt) || IsA(statement, MergeStmt);
}

// Code that names the table or its family, or that may have written anything.
int perhaps_filled_by(const Overlay *overlay, Oid relation)
{
	int by = overlay->fills_by;
	ListCell *cell;
	foreach (cell, list_concat(with_descendants(relation), ancestors(relation)))
		if (const char *name = get_rel_name(lfirst_oid(cell)))
			by = std::max(by, filled_name_by(overlay, name));
	return by;
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
	if (IsA(statement, RefreshMatViewStmt))
		return !as<RefreshMatViewStmt>(statement)->skipData &&
			   put(overlay, as<RefreshMatViewStmt>(statement)->relation, {true, false, NIL});
	if (IsA(statement, CopyStmt) && as<CopyStmt>(statement)->relation != nullptr)
		return as<CopyStmt>(statement)->is_from &&
			   put(overlay, as<CopyStmt>(statement)->relation, {true, false, NIL});
	if (IsA(statement, CopyStmt))
		statement = as<CopyStmt>(statement)->query;
	if (is_query(statement))
		note_doings(overlay, doings_of_calls(overlay, statement));
	return note_query(overlay, statement);
}

void note_prepared(Overlay *overlay, const PrepareStmt *statement)
{
	MemoryContext caller = MemoryContextSwitchTo(overlay->parent_memory);
	overlay->prepared = lappend(overlay->prepared, const_cast<PrepareStmt *>(statement));
	MemoryContextSwitchTo(caller);
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
	if (!overlay->changes)
		return;
	for (int i = 0; i < n; i++) {
		Finding *finding = &effects->findings[i];
		bool by_size = hinges_on_size(*finding);
		if (!OidIsValid(finding->relation) || (finding->exempt != Exempt::empty && !by_size))
			continue;
		FilledEntry filled = filled_of(overlay, finding->relation);
		if (filled.rows_by != 0 && finding->exempt == Exempt::empty)
			finding->exempt = Exempt::no;
		if (finding->exempt == Exempt::empty && (by_size || finding->effect == Effect::data_loss)) {
			int by = perhaps_filled_by(overlay, finding->relation);
			if (by > effects->depends_on)
				add_dependence(overlay, analysis, finding->relation, by,
							   "whether the table is empty");
			finding = &effects->findings[i]; // the array grows
		}
		if (by_size && filled.many_by > effects->depends_on)
			add_dependence(overlay, analysis, finding->relation, filled.many_by,
						   "how large the table is");
	}
}

} // namespace safe_migrate::statement::overlay
