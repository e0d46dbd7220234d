// See code.hpp.
#include <algorithm>

#include "statement/overlay/code.hpp"

#include "pg/compat_analysis.hpp"
#include "statement/identifiers.hpp"
#include "statement/overlay/row_target.hpp"
#include "statement/relations.hpp"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "commands/defrem.h"
#include "commands/proclang.h"
#include "nodes/value.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

namespace safe_migrate::statement::overlay {

namespace {

struct Search {
	const Overlay *overlay;
	Doings found;
	List *seen; // names of functions
};

bool is(const char *word, const char *other) { return pg_strcasecmp(word, other) == 0; }

bool is_one_of(const char *word, std::initializer_list<const char *> others)
{
	return std::any_of(others.begin(), others.end(),
					   [word](const char *other) { return is(word, other); });
}

bool is_seen(const Search *search, const char *function)
{
	ListCell *cell;
	foreach (cell, search->seen) {
		if (strcmp(static_cast<const char *>(lfirst(cell)), function) == 0)
			return true;
	}
	return false;
}

bool look_at_function(Search *search, const char *name);

// EXECUTE of a text; not the one of GRANT and CREATE TRIGGER.
bool executes_text(const List *words)
{
	bool is_next = false;
	ListCell *cell;
	foreach (cell, words) {
		auto *word = static_cast<const char *>(lfirst(cell));
		if (is(word, "execute"))
			is_next = true;
		else if (is_next && !is_one_of(word, {"function", "procedure", "on"}))
			return true;
		else
			is_next = false;
	}
	return false;
}

bool has_triggers(Oid relation)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	if (!HeapTupleIsValid(tuple))
		return false;
	bool has = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relhastriggers;
	ReleaseSysCache(tuple);
	return has;
}

void look_at_triggers(Search *search, Oid relation)
{
	List *functions = NIL;
	if (!has_triggers(relation))
		return;
	Relation catalog = table_open(TriggerRelationId, AccessShareLock);
	ScanKeyData key;
	ScanKeyInit(&key, Anum_pg_trigger_tgrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relation));
	SysScanDesc scan = systable_beginscan(catalog, TriggerRelidNameIndexId, true, nullptr, 1, &key);
	while (HeapTuple tuple = systable_getnext(scan)) {
		auto *form = reinterpret_cast<Form_pg_trigger>(GETSTRUCT(tuple));
		if (!form->tgisinternal)
			functions = lappend_oid(functions, form->tgfoid);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	ListCell *cell;
	foreach (cell, functions)
		if (const char *name = get_func_name(lfirst_oid(cell)))
			(void)look_at_function(search, name);
}

// All tables and views of that name: where rows that are written to them go on to.
void look_at_relations(Search *search, const char *name)
{
	List *found = NIL;
	CatCList *list = SearchSysCacheList1(RELNAMENSP, CStringGetDatum(name));
	for (int i = 0; i < list->n_members; i++) {
		auto *form = reinterpret_cast<Form_pg_class>(GETSTRUCT(&list->members[i]->tuple));
		if (form->oid >= FirstNormalObjectId && stands_for_table(form->relkind))
			found = lappend_oid(found, form->oid);
	}
	ReleaseSysCacheList(list);
	ListCell *cell;
	foreach (cell, found) {
		Oid relation = lfirst_oid(cell);
		if (get_rel_relkind(relation) == RELKIND_VIEW) {
			const RowTarget target =
				row_target(search->overlay, {nullptr, relation, 0}, CMD_INSERT);
			search->found.fills |= target.is_rewritten;
			if (target.relation != relation)
				search->found.words = lappend(search->found.words, get_rel_name(target.relation));
			relation = target.relation;
		}
		look_at_triggers(search, relation);
	}
}

void look_at_words(Search *search, const char *text)
{
	List *words = identifiers_of(text, static_cast<int>(strlen(text))).names;
	search->found.fills |= executes_text(words);
	bool writes = false;
	ListCell *cell;
	foreach (cell, words) {
		auto *word = static_cast<const char *>(lfirst(cell));
		writes |= is_one_of(word, {"insert", "copy", "merge", "update", "refresh"});
		search->found.sets |= is_one_of(word, {"search_path", "set_config"});
		(void)look_at_function(search, word);
	}
	if (!writes)
		return;
	search->found.words = list_concat(search->found.words, words);
	foreach (cell, words)
		look_at_relations(search, static_cast<const char *>(lfirst(cell)));
}

void look_at_source(Search *search, const char *source)
{
	look_at_words(search, quote_literal_cstr(source)); // in whatever language
}

// CMD_UPDATE, CMD_INSERT, CMD_MERGE in the body of a function that has been parsed.
bool writes(const char *body)
{
	return strstr(body, ":commandType 2") != nullptr || strstr(body, ":commandType 3") != nullptr ||
		   strstr(body, ":commandType 5") != nullptr;
}

void look_at_stored(Search *search, HeapTuple tuple)
{
	auto *form = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple));
	if (form->oid < FirstNormalObjectId || form->provolatile != PROVOLATILE_VOLATILE ||
		form->prolang == INTERNALlanguageId || form->prolang == ClanguageId ||
		form->pronamespace == get_namespace_oid("safe_migrate", true))
		return;
	if (form->prolang != SQLlanguageId && form->prolang != get_language_oid("plpgsql", true))
		search->found.fills = true;
	bool is_null;
	Datum body = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_prosqlbody, &is_null);
	if (!is_null)
		search->found.fills |= writes(TextDatumGetCString(body));
	Datum source = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_prosrc, &is_null);
	if (!is_null)
		look_at_source(search, TextDatumGetCString(source));
}

bool look_at_script(Search *search, const char *name)
{
	bool found = false;
	ListCell *cell;
	foreach (cell, search->overlay->functions) {
		auto *function = static_cast<const ScriptFunction *>(lfirst(cell));
		if (strcmp(function->name, name) != 0)
			continue;
		found = true;
		if (function->source == nullptr)
			search->found.fills = true;
		else
			look_at_source(search, function->source);
	}
	return found;
}

// Any of that name; false: there is none.
bool look_at_function(Search *search, const char *name)
{
	if (is_seen(search, name))
		return true;
	search->seen = lappend(search->seen, pstrdup(name));
	bool found = look_at_script(search, name);
	CatCList *list = SearchSysCacheList1(PROCNAMEARGSNSP, CStringGetDatum(name));
	found |= list->n_members > 0;
	List *copies = NIL; // an error in what follows would leave the list held
	for (int i = 0; i < list->n_members; i++)
		copies = lappend(copies, heap_copytuple(&list->members[i]->tuple));
	ReleaseSysCacheList(list);
	ListCell *cell;
	foreach (cell, copies)
		look_at_stored(search, static_cast<HeapTuple>(lfirst(cell)));
	return found;
}

bool look_at_calls(Node *node, void *search)
{
	if (node == nullptr)
		return false;
	if (IsA(node, FuncCall))
		(void)look_at_function(static_cast<Search *>(search),
							   strVal(llast(castNode(FuncCall, node)->funcname)));
	return pg::walk_raw_expression(node, look_at_calls, search);
}

const char *name_of(const Node *node)
{
	if (!IsA(node, A_Const))
		return nullptr;
	auto *constant = reinterpret_cast<const A_Const *>(node);
	return !constant->isnull && IsA(&constant->val.node, String) ? strVal(&constant->val.node)
																 : nullptr;
}

bool is_setting(Node *node, void *context)
{
	if (node == nullptr)
		return false;
	if (IsA(node, FuncCall) && list_length(castNode(FuncCall, node)->args) == 3 &&
		strcmp(strVal(llast(castNode(FuncCall, node)->funcname)), "set_config") == 0) {
		const char *name = name_of(static_cast<Node *>(linitial(castNode(FuncCall, node)->args)));
		if (name == nullptr || is_one_of(name, {"search_path", "role", "session_authorization"}))
			return true;
	}
	return pg::walk_raw_expression(node, is_setting, context);
}

} // namespace

Doings doings_of_block(const Overlay *overlay, const DoStmt *block, const char *text)
{
	Search search = {overlay, {}, NIL};
	ListCell *cell;
	foreach (cell, block->args) {
		auto *option = lfirst_node(DefElem, cell);
		if (strcmp(option->defname, "language") == 0 && !is(defGetString(option), "plpgsql"))
			search.found.fills = true;
	}
	look_at_words(&search, text);
	return search.found;
}

Doings doings_of_calls(const Overlay *overlay, const Node *statement)
{
	Search search = {overlay, {}, NIL};
	if (!IsA(statement, CallStmt)) {
		(void)look_at_calls(const_cast<Node *>(statement), &search);
		return search.found;
	}
	FuncCall *call = reinterpret_cast<const CallStmt *>(statement)->funccall;
	if (!look_at_function(&search, strVal(llast(call->funcname))))
		search.found.fills = true;
	(void)look_at_calls(reinterpret_cast<Node *>(call), &search);
	return search.found;
}

Doings doings_of_triggers(const Overlay *overlay, const Named &written)
{
	Search search = {overlay, {}, NIL};
	if (!written.is_new())
		look_at_triggers(&search, written.oid);
	ListCell *cell;
	foreach (cell, overlay->triggers) {
		auto *trigger = static_cast<const ScriptTrigger *>(lfirst(cell));
		if (written.is_new() ? trigger->relation == written.script : trigger->oid == written.oid)
			(void)look_at_function(&search, trigger->function);
	}
	return search.found;
}

void note_trigger(Overlay *overlay, const CreateTrigStmt *create)
{
	const Named of = resolve(overlay, create->relation);
	if (!of.exists())
		return;
	MemoryContext caller = MemoryContextSwitchTo(overlay->memory);
	auto *trigger = static_cast<ScriptTrigger *>(palloc(sizeof(ScriptTrigger)));
	*trigger = {of.oid, of.script, pstrdup(strVal(llast(create->funcname)))};
	overlay->triggers = lappend(overlay->triggers, trigger);
	MemoryContextSwitchTo(caller);
}

void note_doings(Overlay *overlay, const Doings &doings)
{
	ListCell *cell;
	foreach (cell, doings.words)
		note_filled_name(overlay, static_cast<const char *>(lfirst(cell)));
	if (doings.fills)
		overlay->fills_by = overlay->statement_no;
	if (doings.sets)
		overlay->path_by = overlay->statement_no;
	overlay->changes |= doings.fills || doings.sets;
}

void note_function(Overlay *overlay, const CreateFunctionStmt *create)
{
	MemoryContext caller = MemoryContextSwitchTo(overlay->memory);
	auto *function = static_cast<ScriptFunction *>(palloc0(sizeof(ScriptFunction)));
	function->name = pstrdup(strVal(llast(create->funcname)));
	ListCell *cell;
	foreach (cell, create->options) {
		auto *option = lfirst_node(DefElem, cell);
		if (strcmp(option->defname, "as") == 0 && IsA(option->arg, List))
			function->source = pstrdup(strVal(linitial(castNode(List, option->arg))));
	}
	overlay->functions = lappend(overlay->functions, function);
	MemoryContextSwitchTo(caller);
}

bool sets_path(const Node *query) { return is_setting(const_cast<Node *>(query), nullptr); }

} // namespace safe_migrate::statement::overlay
