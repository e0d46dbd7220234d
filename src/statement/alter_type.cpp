// ALTER COLUMN TYPE: are the table's rows written anew?  Mirrors ATPrepAlterColumnType() and
// ATColumnChangeRequiresRewrite().
#include "statement/alter_type.hpp"

#include "pg/compat_alter.hpp"
#include "statement/folding.hpp"
#include "statement/lifetime.hpp"

extern "C" {
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_relation.h"
#include "parser/parse_type.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
}

namespace safe_migrate::statement {

namespace {

// ATColumnChangeRequiresRewrite()
bool requires_rewrite(Node *expression, AttrNumber column)
{
	for (;;) {
		if (IsA(expression, Var) && reinterpret_cast<Var *>(expression)->varattno == column)
			return false;
		if (IsA(expression, RelabelType)) {
			expression = reinterpret_cast<Node *>(reinterpret_cast<RelabelType *>(expression)->arg);
		} else if (IsA(expression, CoerceToDomain)) {
			auto *coercion = reinterpret_cast<CoerceToDomain *>(expression);
			if (domain_has_constraints(coercion->resulttype))
				return true;
			expression = reinterpret_cast<Node *>(coercion->arg);
		} else if (IsA(expression, FuncExpr)) {
			auto *call = reinterpret_cast<FuncExpr *>(expression);
			bool is_zone_change =
				call->funcid == F_TIMESTAMPTZ_TIMESTAMP || call->funcid == F_TIMESTAMP_TIMESTAMPTZ;
			if (!is_zone_change || TimestampTimestampTzRequiresRewrite())
				return true;
			expression = static_cast<Node *>(linitial(call->args));
		} else {
			return true;
		}
	}
}

// The value that each row gets; nullptr where the server will say that there is no such cast.
Node *new_value(ParseState *state, Relation rel, const TypeChange &change, const Node *raw_using)
{
	Node *value;
	if (raw_using != nullptr) {
		ParseNamespaceItem *item =
			addRangeTableEntryForRelation(state, rel, AccessShareLock, nullptr, false, true);
		addNSItemToQuery(state, item, false, true, true);
		value = transformExpr(state, static_cast<Node *>(copyObjectImpl(raw_using)),
							  EXPR_KIND_ALTER_COL_TRANSFORM);
	} else {
		value = reinterpret_cast<Node *>(makeVar(1, change.old.number, change.old.type,
												 change.old.typmod, change.old.collation, 0));
	}
	value = coerce_to_target_type(state, value, exprType(value), change.type, change.typmod,
								  COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST, -1);
	if (value == nullptr)
		return nullptr;
	assign_expr_collations(state, value);
	return plan_built_in(pg::expand_virtual_columns(value, rel));
}

bool is_stored(const AlterTable *alter, const Column &column)
{
	bool has_rows = alter->kind == RELKIND_RELATION || alter->kind == RELKIND_PARTITIONED_TABLE ||
					alter->kind == RELKIND_FOREIGN_TABLE; // in its children
	return has_rows && (column.generated == '\0' || column.generated == ATTRIBUTE_GENERATED_STORED);
}

// False: nothing to judge, the server itself will refuse it.
bool read_change(const AlterTable *alter, Relation rel, const AlterTableCmd *command,
				 TypeChange *change)
{
	auto *definition = castNode(ColumnDef, command->def);
	change->column = command->name;
	if (!find_column(alter->relation, command->name, &change->old) || change->old.number <= 0)
		return false;
	ParseState *state = make_parsestate(nullptr);
	state->p_sourcetext = alter->analysis->source;
	typenameTypeIdAndMod(state, definition->typeName, &change->type, &change->typmod);
	change->collation = GetColumnDefCollation(state, definition, change->type);
	if (is_stored(alter, change->old) && definition->raw_default != nullptr &&
		casts_to_such(definition->raw_default)) {
		change->rewrites = true; // not to be read without running users' CHECKs
	} else if (is_stored(alter, change->old)) {
		Node *value = new_value(state, rel, *change, definition->raw_default);
		if (value == nullptr)
			return false;
		change->rewrites = requires_rewrite(value, change->old.number);
	}
	free_parsestate(state);
	return true;
}

List *with_rows(AlterTable *alter)
{
	List *relations = NIL;
	ListCell *cell;
	foreach (cell, reached_by(alter)) {
		if (get_rel_relkind(lfirst_oid(cell)) == RELKIND_RELATION ||
			has_rows_elsewhere(lfirst_oid(cell)))
			relations = lappend_oid(relations, lfirst_oid(cell));
	}
	return relations;
}

void report_column(AlterTable *alter, const TypeChange &change)
{
	Part part = {change.column, nullptr, format_type_with_typemod(change.type, change.typmod),
				 nullptr};
	if (change.rewrites) {
		part.facts =
			psprintf("from %s to %s", format_type_with_typemod(change.old.type, change.old.typmod),
					 part.definition);
		report(alter, Cause::alter_type_rewrite, Effect::rewrite, with_rows(alter), part);
	}
	if (change.type != change.old.type || change.collation != change.old.collation)
		analyse_tie_of_column(alter, change.column, change.type, change.collation);
	if (change.type != change.old.type || change.typmod != change.old.typmod)
		report(alter, Cause::alter_type_prepared_statements, Effect::client_break,
			   list_make1_oid(alter->relation), part);
}

// Attribute numbers differ between a parent and its children.
void analyse_dependents(AlterTable *alter, const TypeChange *changes, int n)
{
	auto *own = static_cast<TypeChange *>(palloc(sizeof(TypeChange) * n));
	List *rebuilt = NIL;
	List *tables = NIL;
	ListCell *cell;
	foreach (cell, reached_by(alter)) {
		Oid relation = lfirst_oid(cell);
		memcpy(own, changes, sizeof(TypeChange) * n);
		for (int i = 0; i < n; i++)
			own[i].old.number = get_attnum(relation, own[i].column);
		List *indexes = analyse_type_dependents(alter, relation, own, n);
		rebuilt = list_concat(rebuilt, indexes);
		if (indexes != NIL)
			tables = lappend_oid(tables, relation);
	}
	if (rebuilt == NIL)
		return;
	int first = alter->analysis->effects->n;
	Part part = {changes[0].column, get_rel_name(linitial_oid(rebuilt)), nullptr, nullptr};
	report(alter, Cause::alter_type_index_rebuild, Effect::index_build, tables, part);
	alter->analysis->effects->findings[first].indexes = list_length(rebuilt);
}

} // namespace

void analyse_alter_type(AlterTable *alter)
{
	auto *changes =
		static_cast<TypeChange *>(palloc0(sizeof(TypeChange) * (list_length(alter->commands) + 1)));
	int n = 0;
	ListCell *cell;
	foreach (cell, alter->commands) {
		auto *command = lfirst_node(AlterTableCmd, cell);
		if (command->subtype != AT_AlterColumnType)
			continue;
		lock_identity_sequence(alter, command->name, Lock::share_row_exclusive);
		Relation rel = open_judged(alter->relation);
		if (rel == nullptr)
			return;
		bool is_change = read_change(alter, rel, command, &changes[n]);
		close_judged(rel);
		if (is_change)
			n++;
	}
	if (n == 0)
		return;
	alter->locks_descendants = true;
	for (int i = 0; i < n; i++)
		report_column(alter, changes[i]);
	analyse_dependents(alter, changes, n);
}

} // namespace safe_migrate::statement
