// See check.hpp.  ALTER COLUMN TYPE: what ATPrepAlterColumnType() and ATExecAlterColumnType() look
// at, in their words; what is made anew for the other type is in check_type_users.cpp.
#include "operations/apply/check/column_type.hpp"

#include "operations/apply/check/check.hpp"
#include "pg/compat_analysis.hpp"
#include "statement/constraint_rows.hpp"
#include "statement/folding.hpp"

extern "C" {
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/heap.h"
#include "catalog/partition.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_publication_rel.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/tablecmds.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_coerce.h"
#include "parser/parse_expr.h"
#include "parser/parse_node.h"
#include "parser/parse_relation.h"
#include "parser/parse_type.h"
#include "rewrite/rewriteHandler.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
}

namespace safe_migrate::operations::apply {

namespace {

using Attribute = const FormData_pg_attribute;

bool has_rows(Relation relation)
{
	return relation->rd_rel->relkind == RELKIND_RELATION ||
		   relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE;
}

// The value that each row gets: what USING says, else the column.
Node *new_value(Relation relation, const AlterTableCmd *command, Attribute *column,
				ParseState *state, const char *sql)
{
	const Node *given = castNode(ColumnDef, command->def)->raw_default;
	if (!given)
		return reinterpret_cast<Node *>(makeVar(1, column->attnum, column->atttypid,
												column->atttypmod, column->attcollation, 0));
	state->p_sourcetext = sql;
	addNSItemToQuery(
		state,
		addRangeTableEntryForRelation(state, relation, AccessShareLock, nullptr, false, true),
		false, true, true);
	return transformExpr(state, static_cast<Node *>(copyObjectImpl(given)),
						 EXPR_KIND_ALTER_COL_TRANSFORM);
}

void check_cast(const AlterTableCmd *command, ParseState *state, Node *value,
				const TypeChange &change, bool is_generated)
{
	if (coerce_to_target_type(state, value, exprType(value), change.type, change.typmod,
							  COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST, -1))
		return;
	const char *name = format_type_be(change.type);
	if (castNode(ColumnDef, command->def)->raw_default)
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
						errmsg("result of USING clause for column \"%s\" cannot be cast "
							   "automatically to type %s",
							   change.column, name),
						errhint("You might need to add an explicit cast.")));
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("column \"%s\" cannot be cast automatically to type %s", change.column, name),
			 is_generated ? 0
						  : errhint("You might need to specify \"USING %s::%s\".",
									quote_identifier(change.column),
									format_type_with_typemod(change.type, change.typmod))));
}

// ---------------------------------------------------------------- the column itself

void check_may_change(Relation relation, const AlterTableCmd *command, Attribute *column)
{
	const char *name = command->name;
	bool is_expression;
	if (OidIsValid(relation->rd_rel->reloftype))
		refuse(ERRCODE_WRONG_OBJECT_TYPE, "cannot alter column type of typed table");
	if (column->attgenerated != '\0' && castNode(ColumnDef, command->def)->raw_default)
		ereport(ERROR, (errcode(ERRCODE_INVALID_COLUMN_DEFINITION),
						errmsg("cannot specify USING when altering type of generated column"),
						errdetail("Column \"%s\" is a generated column.", name)));
	if (column->attinhcount > 0)
		refuse(ERRCODE_INVALID_TABLE_DEFINITION, "cannot alter inherited column \"%s\"", name);
	if (has_partition_attrs(relation,
							bms_make_singleton(column->attnum - FirstLowInvalidHeapAttributeNumber),
							&is_expression))
		refuse(ERRCODE_INVALID_TABLE_DEFINITION,
			   "cannot alter column \"%s\" because it is part of the partition key of relation "
			   "\"%s\"",
			   name, RelationGetRelationName(relation));
}

TypeChange read_change(Relation relation, const AlterTableCmd *command)
{
	auto *definition = castNode(ColumnDef, command->def);
	TypeChange change = {};
	change.column = command->name;
	typenameTypeIdAndMod(nullptr, definition->typeName, &change.type, &change.typmod);
	if (!pg::may_use_type(change.type, GetUserId()))
		aclcheck_error_type(ACLCHECK_NO_PRIV, change.type);
	change.collation = GetColumnDefCollation(nullptr, definition, change.type);
	CheckAttributeType(command->name, change.type, change.collation,
					   list_make1_oid(relation->rd_rel->reltype), 0);
	return change;
}

void check_default(Relation relation, Attribute *column, const TypeChange &change)
{
	Node *value = column->atthasdef ? build_column_default(relation, column->attnum) : nullptr;
	value = value ? strip_implicit_coercions(value) : nullptr;
	if (value && !coerce_to_target_type(nullptr, value, exprType(value), change.type, change.typmod,
										COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST, -1))
		refuse(ERRCODE_DATATYPE_MISMATCH,
			   column->attgenerated != '\0' ? "generation expression for column \"%s\" cannot be "
											  "cast automatically to type %s"
											: "default for column \"%s\" cannot be cast "
											  "automatically to type %s",
			   change.column, format_type_be(change.type));
}

// ---------------------------------------------------------------- what depends on it

[[noreturn]] void is_used(const char *message, const char *detail, const char *what,
						  const char *column)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg_internal("%s", message),
					errdetail_internal(detail, what, column)));
	pg_unreachable();
}

struct User {
	Oid class_id;
	const char *message;
};

constexpr User users[] = {
	{ProcedureRelationId, "cannot alter type of a column used by a function or procedure"},
	{RewriteRelationId, "cannot alter type of a column used by a view or rule"},
	{TriggerRelationId, "cannot alter type of a column used in a trigger definition"},
	{PolicyRelationId, "cannot alter type of a column used in a policy definition"},
	{PublicationRelRelationId, "cannot alter type of a column used by a publication WHERE clause"},
};

// As ATExecAlterColumnType() goes through what depends on the column.
void check_users(Oid relation, const char *name, AttrNumber number)
{
	ListCell *cell;
	foreach (cell, statement::dependents_of(RelationRelationId, relation, number)) {
		const auto *dependent = static_cast<const statement::DependsOn *>(lfirst(cell));
		ObjectAddress object = {dependent->class_id, dependent->object, 0};
		for (const User &user : users)
			if (dependent->class_id == user.class_id)
				is_used(user.message, "%s depends on column \"%s\"",
						getObjectDescription(&object, false), name);
		if (dependent->class_id != AttrDefaultRelationId)
			continue;
		ObjectAddress column = GetAttrDefaultColumnAddress(dependent->object);
		if (column.objectId == relation && column.objectSubId != number)
			is_used("cannot alter type of a column used by a generated column",
					"Column \"%s\" is used by generated column \"%s\".", name,
					get_attname(relation, static_cast<AttrNumber>(column.objectSubId), false));
	}
}

// ---------------------------------------------------------------- children

void check_children(Relation relation, const AlterTableCmd *command, bool is_only)
{
	Oid oid = RelationGetRelid(relation);
	if (is_only && find_inheritance_children(oid, NoLock) != NIL)
		refuse(ERRCODE_INVALID_TABLE_DEFINITION,
			   "type of inherited column \"%s\" must be changed in child tables too",
			   command->name);
	List *parents = NIL;
	List *all = is_only ? NIL : find_all_inheritors(oid, NoLock, &parents);
	ListCell *cell, *number;
	forboth(cell, all, number, parents)
	{
		if (lfirst_oid(cell) != oid &&
			inherited_count(lfirst_oid(cell), command->name) > lfirst_int(number))
			refuse(ERRCODE_INVALID_TABLE_DEFINITION,
				   "cannot alter inherited column \"%s\" of relation \"%s\"", command->name,
				   get_rel_name(lfirst_oid(cell)));
	}
}

// The table or one of its children: as the statement is carried out on it.
void check_table(Oid oid, TypeChange change)
{
	Relation relation = table_open(oid, AccessShareLock);
	change.number = get_attnum(oid, change.column);
	if (change.number > 0) {
		check_default(relation, TupleDescAttr(RelationGetDescr(relation), change.number - 1),
					  change);
		check_users(oid, change.column, change.number);
		check_made_anew(relation, change);
		find_composite_type_dependencies(relation->rd_rel->reltype, relation, nullptr);
	}
	table_close(relation, NoLock);
}

} // namespace

void check_column_type(Relation relation, const AlterTableCmd *command,
					   const FormData_pg_attribute *column, bool is_only, const char *sql)
{
	ParseState *state = make_parsestate(nullptr);
	const Node *given = castNode(ColumnDef, command->def)->raw_default;
	bool is_readable = !given || !statement::casts_to_such(const_cast<Node *>(given));
	Node *value = is_readable ? new_value(relation, command, column, state, sql) : nullptr;
	check_may_change(relation, command, column);
	TypeChange change = read_change(relation, command);
	if (has_rows(relation) && value)
		check_cast(command, state, value, change, column->attgenerated != '\0');
	if (column->attidentity != '\0')
		check_identity_type(change.type);
	check_children(relation, command, is_only);
	ListCell *cell;
	foreach (cell, is_only ? list_make1_oid(RelationGetRelid(relation))
						   : find_all_inheritors(RelationGetRelid(relation), NoLock, nullptr))
		check_table(lfirst_oid(cell), change);
}

} // namespace safe_migrate::operations::apply
