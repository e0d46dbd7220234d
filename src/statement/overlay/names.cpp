// What raw expressions name, held against what the script changed.  See overlay.hpp.
#include "statement/overlay/overlay.hpp"

#include "pg/compat_analysis.hpp"
#include "statement/identifiers.hpp"

extern "C" {
#include "nodes/value.h"
}

namespace safe_migrate::statement::overlay {

namespace {

struct Search {
	const Overlay *overlay;
	const ScriptRelation *relation; // of which columns are looked for; nullptr: objects
	int found;
	const char *what;
};

void look_at_names(Search *search, const List *names)
{
	ListCell *cell;
	foreach (cell, names) {
		auto *name = static_cast<Node *>(lfirst(cell));
		int by = IsA(name, String) ? object_changed_by(search->overlay, strVal(name)) : 0;
		if (by > search->found) {
			search->found = by;
			search->what = strVal(name);
		}
	}
}

void look_at_columns(Search *search, const List *fields)
{
	ListCell *cell;
	foreach (cell, fields) {
		auto *name = static_cast<Node *>(lfirst(cell));
		// The whole row holds whatever has changed.
		if (IsA(name, A_Star) ||
			(IsA(name, String) && (find_column(search->relation, strVal(name)) != nullptr ||
								   strcmp(strVal(name), search->relation->name) == 0)))
			search->found = 1;
	}
}

bool look(Node *node, void *arg)
{
	auto *search = static_cast<Search *>(arg);
	if (node == nullptr)
		return false;
	if (search->relation != nullptr) {
		if (IsA(node, ColumnRef))
			look_at_columns(search, castNode(ColumnRef, node)->fields);
	} else if (IsA(node, FuncCall))
		look_at_names(search, castNode(FuncCall, node)->funcname);
	else if (IsA(node, TypeName))
		look_at_names(search, castNode(TypeName, node)->names);
	else if (IsA(node, CollateClause))
		look_at_names(search, castNode(CollateClause, node)->collname);
	return pg::walk_raw_expression(node, look, arg);
}

} // namespace

int names_changed_object(const Overlay *overlay, Node *node, const char **what)
{
	Search search = {overlay, nullptr, 0, nullptr};
	(void)look(node, &search);
	if (search.found != 0)
		*what = search.what;
	return search.found;
}

bool names_changed_column(const ScriptRelation *relation, Node *expression)
{
	Search search = {nullptr, relation, 0, nullptr};
	if (relation == nullptr)
		return false;
	(void)look(expression, &search);
	return search.found != 0;
}

namespace {

// Sequences, indexes and constraints that nobody named begin with their table's name.
int prefix_changed_by(const Overlay *overlay, const char *name)
{
	int by = 0;
	char prefix[NAMEDATALEN];
	strlcpy(prefix, name, NAMEDATALEN);
	for (char *end = strrchr(prefix, '_'); end != nullptr; end = strrchr(prefix, '_')) {
		*end = '\0';
		by = std::max(by, relation_changed_by(overlay, prefix));
	}
	return by;
}

} // namespace

int names_changed_by(const Overlay *overlay, const char *source, const RawStmt *raw)
{
	if (!overlay->changes)
		return 0;
	const char *text = source + raw->stmt_location;
	Identifiers mentioned =
		identifiers_of(text, raw->stmt_len > 0 ? raw->stmt_len : static_cast<int>(strlen(text)));
	int by = std::max(std::max(overlay->unknown_by, overlay->path_by),
					  mentioned.all ? overlay->statement_no - 1 : 0);
	ListCell *cell;
	foreach (cell, mentioned.names) {
		auto *name = static_cast<const char *>(lfirst(cell));
		by = std::max({by, object_changed_by(overlay, name), relation_changed_by(overlay, name),
					   perhaps_changed_by(overlay, name), prefix_changed_by(overlay, name)});
	}
	return by;
}

List *columns_proven_not_null(const Node *check)
{
	if (check == nullptr)
		return NIL;
	if (IsA(check, NullTest)) {
		auto *test = reinterpret_cast<const NullTest *>(check);
		auto *argument = reinterpret_cast<const Node *>(test->arg);
		if (test->nulltesttype != IS_NOT_NULL || !IsA(argument, ColumnRef))
			return NIL;
		auto *fields = reinterpret_cast<const ColumnRef *>(argument)->fields;
		auto *name = static_cast<Node *>(llast(fields));
		return list_length(fields) <= 2 && IsA(name, String) ? list_make1(name) : NIL;
	}
	if (!IsA(check, BoolExpr) || reinterpret_cast<const BoolExpr *>(check)->boolop != AND_EXPR)
		return NIL;
	List *columns = NIL;
	ListCell *cell;
	foreach (cell, reinterpret_cast<const BoolExpr *>(check)->args)
		columns = list_concat(columns, columns_proven_not_null(static_cast<Node *>(lfirst(cell))));
	return columns;
}

} // namespace safe_migrate::statement::overlay
