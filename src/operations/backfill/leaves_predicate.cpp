// See leaves_predicate.hpp.
#include "operations/backfill/leaves_predicate.hpp"

#include "operations/backfill/expression.hpp"
#include "pg/compat_executor.hpp"
#include "statement/folding.hpp"

extern "C" {
#include "access/relation.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "utils/rel.h"
}

namespace safe_migrate::operations::backfill {

namespace {

constexpr const char *hint = "Use a predicate that a written row no longer satisfies, for example "
							 "that the new column IS NULL.";

bool has_before_trigger(const Target &target)
{
	bool found = false;
	ListCell *lc;
	foreach (lc, target.relations) {
		Relation rel = relation_open(lfirst_oid(lc), NoLock);
		found = found || (rel->trigdesc != nullptr && rel->trigdesc->trig_update_before_row);
		relation_close(rel, NoLock);
	}
	return found;
}

Node *folded(Node *node)
{
	return statement::plan_built_in(static_cast<Node *>(copyObjectImpl(node)));
}

// The constants that are assigned: a list of TargetEntry.
List *constants_of(List *entries)
{
	List *constants = NIL;
	ListCell *lc;
	foreach (lc, entries) {
		auto *entry = lfirst_node(TargetEntry, lc);
		auto *value = reinterpret_cast<Node *>(entry->expr);
		if (checkExprHasSubLink(value))
			continue;
		value = folded(value);
		if (IsA(value, Const))
			constants = lappend(constants, makeTargetEntry(reinterpret_cast<Expr *>(value),
														   entry->resno, nullptr, false));
	}
	return constants;
}

Node *with_constants(Node *node, void *constants)
{
	if (node == nullptr)
		return nullptr;
	if (!IsA(node, Var))
		return pg::mutate_expression(node, with_constants, constants);
	ListCell *lc;
	foreach (lc, static_cast<List *>(constants)) {
		auto *entry = lfirst_node(TargetEntry, lc);
		if (castNode(Var, node)->varattno == entry->resno)
			return static_cast<Node *>(copyObjectImpl(entry->expr));
	}
	return static_cast<Node *>(copyObjectImpl(node));
}

bool is_true(Node *node)
{
	return IsA(node, Const) && !castNode(Const, node)->constisnull &&
		   DatumGetBool(castNode(Const, node)->constvalue);
}

// Each row that it held for it still holds for: what does not change with the assignment did.
bool stays_true(Relation root, Node *predicate, List *constants, const Bitmapset *assigned)
{
	auto *copy = static_cast<Node *>(copyObjectImpl(predicate));
	ListCell *lc;
	foreach (lc, make_ands_implicit(reinterpret_cast<Expr *>(copy))) {
		auto *part = static_cast<Node *>(lfirst(lc));
		if (checkExprHasSubLink(part) || contain_volatile_functions(part))
			return false;
		if (bms_overlap(columns_depended_on(part, root), assigned) &&
			!is_true(folded(with_constants(part, constants))))
			return false;
	}
	return true;
}

} // namespace

void check_falsifiable(const Target &target, Node *predicate, List *entries,
					   const Bitmapset *assigned, bool fire_triggers)
{
	if (!bms_overlap(columns_depended_on(predicate, target.root), assigned))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the predicate does not depend on any assigned column"),
				 errdetail("A row that was written would match again, and the assignment would be "
						   "applied to it more than once."),
				 errhint("%s", hint)));
	if (fire_triggers && has_before_trigger(target))
		return;
	List *constants = constants_of(entries);
	if (constants != NIL && stays_true(target.root, predicate, constants, assigned))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the assignment leaves the predicate true"),
				 errdetail("Each row that was written would match again."), errhint("%s", hint)));
}

} // namespace safe_migrate::operations::backfill
