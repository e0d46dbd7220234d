// See stored_texts.hpp.
#include "operations/backfill/stored_texts.hpp"

#include "operations/backfill/called.hpp"
#include "operations/backfill/expression.hpp"
#include "operations/backfill/parse.hpp"
#include "pg/known_objects.hpp"

extern "C" {
#include "access/sysattr.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
}

namespace safe_migrate::operations::backfill {

namespace {

const char **name_columns(Relation root, const Bitmapset *used, int *n)
{
	TupleDesc desc = RelationGetDescr(root);
	auto **names = static_cast<const char **>(palloc0(sizeof(char *) * (desc->natts + 1)));
	*n = 0;
	for (int attnum = 1; attnum <= desc->natts; attnum++)
		if (bms_is_member(attnum - FirstLowInvalidHeapAttributeNumber, used)) {
			names[attnum - 1] = pstrdup(NameStr(TupleDescAttr(desc, attnum - 1)->attname));
			*n = attnum;
		}
	return names;
}

Node *without_casts(Node *value);

// A row that becomes one of the column's type: its fields are coerced as in an assignment, too,
// which a cast around each of them would not say.
void bare_fields(RowExpr *row)
{
	ListCell *lc;
	if (row->row_typeid != RECORDOID && row->row_format == COERCE_IMPLICIT_CAST)
		foreach (lc, row->args)
			lfirst(lc) = without_casts(static_cast<Node *>(lfirst(lc)));
}

// The value as it was written, of a copy of what became of it.
Node *without_casts(Node *value)
{
	auto take = [](CoercionForm form, void *argument, Node *whole) {
		return form == COERCE_IMPLICIT_CAST ? without_casts(static_cast<Node *>(argument)) : whole;
	};
	switch (nodeTag(value)) {
		case T_CoerceToDomain:
			return take(castNode(CoerceToDomain, value)->coercionformat,
						castNode(CoerceToDomain, value)->arg, value);
		case T_FuncExpr:
			return take(castNode(FuncExpr, value)->funcformat,
						list_length(castNode(FuncExpr, value)->args) > 0
							? linitial(castNode(FuncExpr, value)->args)
							: value,
						value);
		case T_RelabelType:
			return take(castNode(RelabelType, value)->relabelformat,
						castNode(RelabelType, value)->arg, value);
		case T_CoerceViaIO:
			return take(castNode(CoerceViaIO, value)->coerceformat,
						castNode(CoerceViaIO, value)->arg, value);
		case T_ArrayCoerceExpr:
			return take(castNode(ArrayCoerceExpr, value)->coerceformat,
						castNode(ArrayCoerceExpr, value)->arg, value);
		case T_RowExpr:
			bare_fields(castNode(RowExpr, value));
			return value;
		default:
			return value;
	}
}

// What is stored of a value that is assigned; the coercion of it all to the column's type is left
// out by the deparser itself.
Node *as_assigned(Node *value)
{
	auto *copy = static_cast<Node *>(copyObjectImpl(value));
	Node *row = copy;
	while (IsA(row, CoerceToDomain) &&
		   castNode(CoerceToDomain, row)->coercionformat == COERCE_IMPLICIT_CAST)
		row = reinterpret_cast<Node *>(castNode(CoerceToDomain, row)->arg);
	if (IsA(row, RowExpr))
		bare_fields(castNode(RowExpr, row));
	return copy;
}

// Of a copy: from 18 on the deparser changes sub-selects with GROUP BY.
char *text_of(Node *expression, List *context)
{
	return deparse_expression(static_cast<Node *>(copyObjectImpl(expression)), context, true,
							  false);
}

} // namespace

// Amounts of money are written and read by it; nothing is run meanwhile.
void enter_for_texts(pg::PinnedSettings *pinned)
{
	pinned->enter();
	pg::set_in_level("lc_monetary", "C");
}

Definition *store_texts(const Request &request, Relation root, List *entries, Node *predicate)
{
	pg::PinnedSettings pinned;
	enter_for_texts(&pinned);
	auto *definition = static_cast<Definition *>(palloc0(sizeof(Definition)));
	List *context = deparse_context_for(stored_alias, RelationGetRelid(root));
	Bitmapset *used = columns_read(predicate);
	definition->action = request.action;
	definition->relation = RelationGetRelid(root);
	definition->fire_triggers = request.fire_triggers;
	definition->n_assignments = list_length(entries);
	definition->assignments =
		static_cast<Assignment *>(palloc0(sizeof(Assignment) * (list_length(entries) + 1)));
	definition->predicate = text_of(predicate, context);
	ListCell *lc;
	foreach (lc, entries) {
		auto *entry = lfirst_node(TargetEntry, lc);
		auto *value = reinterpret_cast<Node *>(entry->expr);
		definition->assignments[foreach_current_index(lc)] = {
			entry->resno, get_attname(RelationGetRelid(root), entry->resno, false),
			text_of(as_assigned(value), context)};
		used = bms_add_members(used, columns_read(value));
		used = bms_add_member(used, entry->resno - FirstLowInvalidHeapAttributeNumber);
	}
	definition->columns = name_columns(root, used, &definition->n_columns);
	pinned.leave();
	return definition;
}

void check_round_trip(const Definition &definition, const Query *query, List *entries,
					  Node *predicate)
{
	const char *text = nullptr;
	if (!same_meaning(predicate, query->jointree->quals))
		text = definition.predicate;
	for (int i = 0; text == nullptr && i < definition.n_assignments; i++) {
		auto *stored = list_nth_node(TargetEntry, query->targetList, i);
		auto *meant = list_nth_node(TargetEntry, entries, i);
		if (!same_meaning(reinterpret_cast<Node *>(meant->expr),
						  reinterpret_cast<Node *>(stored->expr)))
			text = definition.assignments[i].expression;
	}
	if (text == nullptr)
		return;
	ereport(
		ERROR,
		(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
		 errmsg("an expression can't be stored so that it keeps its meaning"),
		 errdetail("Without the search_path of this session, \"%s\" means something else.", text),
		 errhint("Put the expression into a function, or name operators of other schemas as "
				 "OPERATOR(schema.=); IS DISTINCT FROM, NULLIF and CASE x WHEN can't.")));
}

void describe_trees(Definition *definition, const Query *query, const Target &target)
{
	pg::PinnedSettings pinned;
	pinned.enter();
	List *raw = list_make1(parse_expression(predicate_text(definition->predicate)));
	for (int i = 0; i < definition->n_assignments; i++)
		raw = lappend(raw, parse_expression(predicate_text(definition->assignments[i].expression)));
	auto *trees =
		reinterpret_cast<Node *>(lappend(list_copy(query->targetList), query->jointree->quals));
	definition->objects = pg::known_objects(trees, raw);
	definition->reads_itself = may_read(trees, target.relations);
	pinned.leave();
}

} // namespace safe_migrate::operations::backfill
