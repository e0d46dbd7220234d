// The settings of a script that its later statements hinge on.  They are really set, in a level of
// their own that end_script() leaves.  See note.hpp.
#include "statement/overlay/note.hpp"

#include "pg/guc.hpp"

extern "C" {
#include "catalog/namespace.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/varlena.h"
}

namespace safe_migrate::statement::overlay {

namespace {

// What a name means, how a timestamp is converted, where things are put, how it is judged.
constexpr const char *followed[n_settings] = {
	"search_path",
	"role", // what "$user" in it means; not set
	"TimeZone",
	"default_tablespace",
	"default_table_access_method",
	"safe_migrate.small_table_size",
	"safe_migrate.max_rows_per_statement",
	"safe_migrate.rule_levels",
};
constexpr int search_path = 0;
constexpr int role = 1;

int place_of(const char *name)
{
	if (pg_strcasecmp(name, "session_authorization") == 0)
		return role;
	for (int i = 0; i < n_settings; i++)
		if (pg_strcasecmp(name, followed[i]) == 0)
			return i;
	return -1;
}

const char *present(const Overlay *overlay, int place)
{
	if (overlay->settings[place] != nullptr)
		return overlay->settings[place];
	return place == role ? GetUserNameFromId(GetUserId(), false)
						 : GetConfigOption(followed[place], false, false);
}

const char *reset_value(int place)
{
	return place == role ? GetUserNameFromId(GetSessionUserId(), false)
						 : GetConfigOptionResetString(followed[place]);
}

} // namespace

Oid role_by_now(const Overlay *overlay)
{
	const char *name = overlay->settings[role];
	return name != nullptr ? get_role_oid(name, true) : GetUserId();
}

namespace {

// recomputeNamespacePath() takes the role of this session for "$user".
const char *for_role(const Overlay *overlay, const char *path)
{
	List *names = NIL;
	if (overlay->settings[role] == nullptr || !SplitIdentifierString(pstrdup(path), ',', &names))
		return path;
	StringInfoData replaced;
	initStringInfo(&replaced);
	ListCell *cell;
	foreach (cell, names) {
		auto *name = static_cast<const char *>(lfirst(cell));
		appendStringInfo(
			&replaced, "%s%s", replaced.len > 0 ? ", " : "",
			quote_identifier(strcmp(name, "$user") == 0 ? overlay->settings[role] : name));
	}
	return replaced.data;
}

void put(Overlay *overlay, int place, const char *value)
{
	overlay->settings[place] = MemoryContextStrdup(overlay->memory, value);
	if (place == search_path && overlay->after_block[place] == nullptr)
		overlay->path_by = 0; // known again
	if (place == search_path || place == role) {
		set_search_path(overlay, for_role(overlay, present(overlay, search_path)));
		return;
	}
	// What the server refuses, it refuses in the script too.
	pg::try_in_level(followed[place], value, superuser() ? PGC_SUSET : PGC_USERSET);
}

void change(Overlay *overlay, int place, const char *value, bool is_local)
{
	if (value == nullptr || (is_local && !overlay->in_block))
		return;
	if (!is_local)
		overlay->after_block[place] = nullptr;
	else if (overlay->after_block[place] == nullptr)
		overlay->after_block[place] = MemoryContextStrdup(overlay->memory, present(overlay, place));
	put(overlay, place, value);
}

const char *string_of(const Node *node)
{
	if (node == nullptr || !IsA(node, A_Const))
		return nullptr;
	auto *constant = reinterpret_cast<const A_Const *>(node);
	return !constant->isnull && IsA(&constant->val.node, String) ? strVal(&constant->val.node)
																 : nullptr;
}

bool is_true(const Node *node)
{
	return node != nullptr && IsA(node, A_Const) &&
		   IsA(&reinterpret_cast<const A_Const *>(node)->val.node, Boolean) &&
		   boolVal(&reinterpret_cast<const A_Const *>(node)->val.node);
}

} // namespace

void note_set(Overlay *overlay, const VariableSetStmt *set)
{
	if (set->kind == VAR_RESET_ALL)
		return reset_settings(overlay);
	int place = set->name != nullptr ? place_of(set->name) : -1;
	if (place < 0)
		return;
	const char *value = set->kind == VAR_SET_VALUE
							? ExtractSetVariableArgs(const_cast<VariableSetStmt *>(set))
						: set->kind == VAR_SET_CURRENT ? present(overlay, place)
													   : reset_value(place);
	if (place == role && value != nullptr && strcmp(value, "none") == 0)
		value = reset_value(place);
	change(overlay, place, value, set->is_local);
}

void reset_settings(Overlay *overlay)
{
	for (int i = 0; i < n_settings; i++)
		if (i != role)
			change(overlay, i, reset_value(i), false);
}

bool note_set_config(Overlay *overlay, const FuncCall *call)
{
	if (list_length(call->args) != 3 || strcmp(strVal(llast(call->funcname)), "set_config") != 0 ||
		string_of(static_cast<Node *>(linitial(call->args))) == nullptr ||
		string_of(static_cast<Node *>(lsecond(call->args))) == nullptr)
		return false;
	const char *name = string_of(static_cast<Node *>(linitial(call->args)));
	int place = name != nullptr ? place_of(name) : -1;
	if (place >= 0)
		change(overlay, place, string_of(static_cast<Node *>(lsecond(call->args))),
			   is_true(static_cast<Node *>(lthird(call->args))));
	return true;
}

void restore_settings(Overlay *overlay)
{
	for (int i = 0; i < n_settings; i++) {
		const char *value = overlay->after_block[i];
		overlay->after_block[i] = nullptr;
		if (value != nullptr)
			put(overlay, i, value);
	}
}

bool is_local_setting(const Node *statement)
{
	if (IsA(statement, VariableSetStmt))
		return reinterpret_cast<const VariableSetStmt *>(statement)->is_local;
	if (!IsA(statement, SelectStmt))
		return false;
	ListCell *cell;
	foreach (cell, reinterpret_cast<const SelectStmt *>(statement)->targetList) {
		Node *value = lfirst_node(ResTarget, cell)->val;
		if (IsA(value, FuncCall) && list_length(castNode(FuncCall, value)->args) == 3 &&
			is_true(static_cast<Node *>(lthird(castNode(FuncCall, value)->args))))
			return true;
	}
	return false;
}

} // namespace safe_migrate::statement::overlay
