// ADD COLUMN and SET EXPRESSION: does the table have to be rewritten?  Mirrors ATExecAddColumn()
// and transformColumnDefinition().
#include "statement/alter_table.hpp"

#include "pg/compat_alter.hpp"
#include "statement/folding.hpp"
#include "statement/source_text.hpp"

extern "C" {
#include "catalog/heap.h"
#include "catalog/namespace.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_coerce.h"
#include "parser/parse_node.h"
#include "parser/parse_type.h"
#include "utils/lsyscache.h"
#include "utils/builtins.h"
#include "utils/ruleutils.h"
}

namespace safe_migrate::statement {

namespace {

// What a column's definition comes to.
struct NewColumn {
	const ColumnDef *definition;
	Oid type;
	int32 typmod;
	bool is_serial;
	bool is_identity;
	bool is_stored;	 // GENERATED … STORED
	bool is_virtual; // GENERATED … VIRTUAL
	bool is_not_null;
	bool has_default;		  // a DEFAULT is written, even NULL, or serial
	const Node *raw_default;  // nullptr: none, or serial
	const Constraint *unique; // UNIQUE or PRIMARY KEY
};

struct Cost {
	Cause cause;
	bool rewrites;
	bool fills;	 // existing rows get a value that is not NULL without a rewrite
	Node *value; // of a default, else nullptr
};

// As transformColumnDefinition() tells it, by these names only, unqualified.
Oid serial_type(const TypeName *name)
{
	if (list_length(name->names) != 1 || name->pct_type)
		return InvalidOid;
	const char *type = strVal(linitial(name->names));
	if (strcmp(type, "smallserial") == 0 || strcmp(type, "serial2") == 0)
		return INT2OID;
	if (strcmp(type, "serial") == 0 || strcmp(type, "serial4") == 0)
		return INT4OID;
	if (strcmp(type, "bigserial") == 0 || strcmp(type, "serial8") == 0)
		return INT8OID;
	return InvalidOid;
}

// table.column%TYPE, for which LookupTypeName() would raise a NOTICE that the statement raises too.
bool copied_type(const TypeName *name, NewColumn *column)
{
	if (!name->pct_type || list_length(name->names) < 2)
		return false;
	List *of_relation = list_truncate(list_copy(name->names), list_length(name->names) - 1);
	Oid relation = RangeVarGetRelid(makeRangeVarFromNameList(of_relation), NoLock, false);
	Column other;
	if (!find_column(relation, strVal(llast(name->names)), &other))
		return false;
	column->type = name->arrayBounds != NIL ? get_array_type(other.type) : other.type;
	column->typmod = -1;
	return true;
}

void read_type(NewColumn *column)
{
	TypeName *name = column->definition->typeName;
	column->typmod = -1;
	column->type = serial_type(name);
	column->is_serial = OidIsValid(column->type);
	if (!column->is_serial && !copied_type(name, column))
		typenameTypeIdAndMod(nullptr, name, &column->type, &column->typmod);
}

NewColumn read_column(const ColumnDef *definition)
{
	NewColumn column = {};
	column.definition = definition;
	read_type(&column);
	column.is_not_null = definition->is_not_null || column.is_serial;
	column.raw_default = definition->raw_default;
	ListCell *cell;
	foreach (cell, definition->constraints) {
		auto *constraint = lfirst_node(Constraint, cell);
		switch (constraint->contype) {
			case CONSTR_DEFAULT:
				column.raw_default = constraint->raw_expr;
				break;
			case CONSTR_IDENTITY:
				column.is_identity = true;
				column.is_not_null = true;
				break;
			case CONSTR_GENERATED:
				column.is_virtual = pg::is_virtual(constraint);
				column.is_stored = !column.is_virtual;
				break;
			case CONSTR_NOTNULL:
				column.is_not_null = true;
				break;
			case CONSTR_PRIMARY:
				column.is_not_null = true;
				column.unique = constraint;
				break;
			case CONSTR_UNIQUE:
				column.unique = constraint;
				break;
			default:
				break;
		}
	}
	column.has_default = column.raw_default != nullptr || column.is_serial;
	return column;
}

bool is_null_constant(const Node *expression)
{
	return IsA(expression, Const) && reinterpret_cast<const Const *>(expression)->constisnull;
}

// What existing rows get, as build_column_default() puts it together: the DEFAULT, or its type's.
// nullptr: NULL.
Node *value_of_rows(Analysis *analysis, const NewColumn &column)
{
	if (column.raw_default != nullptr) {
		ParseState *state = make_parsestate(nullptr);
		state->p_sourcetext = analysis->source;
		Node *value = cookDefault(state, static_cast<Node *>(copyObjectImpl(column.raw_default)),
								  column.type, column.typmod, column.definition->colname, '\0');
		free_parsestate(state);
		if (!is_null_constant(value))
			return value;
	}
	Node *value = get_typdefault(column.type);
	if (value == nullptr)
		return nullptr;
	return coerce_to_target_type(nullptr, value, exprType(value), column.type, column.typmod,
								 COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST, -1);
}

bool is_literal(const Node *raw)
{
	return IsA(raw, A_Const) ||
		   (IsA(raw, TypeCast) && is_literal(reinterpret_cast<const TypeCast *>(raw)->arg));
}

// To look at the default would run the CHECKs of users' domains.
bool is_not_to_be_read(const NewColumn &column)
{
	auto *raw = const_cast<Node *>(column.raw_default);
	if (casts_to_such(raw))
		return true;
	return !IsA(raw, RowExpr) && !IsA(raw, FuncCall) && reading_checks_domain(column.type);
}

Cost cost_of(Analysis *analysis, const NewColumn &column)
{
	if (column.is_stored)
		return {Cause::add_column_stored_generated, true, true, nullptr};
	if (column.is_virtual)
		return {Cause::lock, false, false, nullptr};
	if (column.is_identity)
		return {Cause::add_column_identity, true, true, nullptr};
	if (column.is_serial)
		return {Cause::add_column_serial, true, true, nullptr};
	if (domain_has_constraints(column.type))
		return {Cause::add_column_constrained_domain, true, true, nullptr};
	if (column.raw_default != nullptr && is_not_to_be_read(column))
		return {Cause::add_column_volatile_default, !is_literal(column.raw_default), true, nullptr};
	Node *value = value_of_rows(analysis, column);
	if (value == nullptr)
		return {Cause::lock, false, false, nullptr};
	if (is_volatile(value))
		return {Cause::add_column_volatile_default, true, true, value};
	return {Cause::lock, false, !is_null_constant(plan_built_in(value)), value};
}

// The reached relations that get the column: not those that have one of that name, with which it
// is merged, unless the statement drops that one first.
List *where_added(AlterTable *alter, const char *name, bool is_replaced)
{
	List *relations = NIL;
	ListCell *cell;
	foreach (cell, reached_by(alter)) {
		Oid relation = lfirst_oid(cell);
		char kind = get_rel_relkind(relation);
		if ((kind == RELKIND_RELATION || kind == RELKIND_PARTITIONED_TABLE) &&
			(is_replaced || get_attnum(relation, name) == InvalidAttrNumber))
			relations = lappend_oid(relations, relation);
	}
	return relations;
}

void analyse_column_constraints(AlterTable *alter, const NewColumn &column, const char *text)
{
	ListCell *cell;
	foreach (cell, column.definition->constraints) {
		auto *constraint = lfirst_node(Constraint, cell);
		if (constraint->contype == CONSTR_CHECK || constraint->contype == CONSTR_FOREIGN ||
			constraint->contype == CONSTR_UNIQUE || constraint->contype == CONSTR_PRIMARY)
			analyse_column_constraint(alter, column.definition->colname, constraint, text,
									  column.has_default);
	}
}

} // namespace

void analyse_add_column(AlterTable *alter, const AlterTableCmd *command)
{
	auto *definition = castNode(ColumnDef, command->def);
	bool is_replaced = drops_column(alter, definition->colname);
	if (!is_replaced && get_attnum(alter->relation, definition->colname) != InvalidAttrNumber)
		return; // IF NOT EXISTS, or an error of the server's
	alter->locks_descendants = true;
	if (alter->kind != RELKIND_RELATION && alter->kind != RELKIND_PARTITIONED_TABLE &&
		alter->kind != RELKIND_FOREIGN_TABLE) // whose children may be plain tables
		return;
	NewColumn column = read_column(definition);
	Cost cost = cost_of(alter->analysis, column);
	const char *text = subcommand_text(alter->analysis, definition->location);
	Part part = {definition->colname, nullptr, text, nullptr};
	part.type = format_type_with_typemod(column.type, column.typmod);
	if (cost.value != nullptr)
		part.expression = deparse_expression(cost.value, NIL, false, false);
	if (OidIsValid(column.type) && cost.cause == Cause::add_column_constrained_domain)
		part.object = format_type_be(column.type);
	List *relations = where_added(alter, definition->colname, is_replaced);
	if (cost.rewrites)
		report(alter, cost.cause, Effect::rewrite, relations, part);
	else if (column.is_not_null && !cost.fills)
		report(alter, Cause::add_column_not_null, Effect::scan, relations, part);
	analyse_column_constraints(alter, column, text);
}

void analyse_set_expression(AlterTable *alter, const AlterTableCmd *command)
{
	alter->locks_descendants = true;
	List *rewritten = NIL;
	List *scanned = NIL;
	ListCell *cell;
	foreach (cell, reached_by(alter)) {
		Column column;
		if (!find_column(lfirst_oid(cell), command->name, &column))
			continue;
		if (column.generated == ATTRIBUTE_GENERATED_STORED)
			rewritten = lappend_oid(rewritten, lfirst_oid(cell));
		else if (column.generated != '\0' && column.is_not_null)
			scanned = lappend_oid(scanned, lfirst_oid(cell)); // virtual
	}
	Part part = {command->name, nullptr, nullptr, nullptr};
	report(alter, Cause::set_expression, Effect::rewrite, rewritten, part);
	report(alter, Cause::set_not_null, Effect::scan, scanned, part);
}

} // namespace safe_migrate::statement
