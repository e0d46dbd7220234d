// See definition.hpp.
#include "operations/constraint/definition.hpp"

#include "operations/constraint/parts.hpp"
#include "operations/ddl/sql.hpp"
#include "operations/index/definition.hpp"
#include "operations/user_text.hpp"
#include "pg/compat_analysis.hpp"
#include "pg/pinned_settings.hpp"
#include "statement/foreign_key.hpp"

extern "C" {
#include "access/relation.h"
#include "access/table.h"
#include "catalog/pg_am.h"
#include "catalog/pg_constraint.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "commands/defrem.h"
#include "lib/stringinfo.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_relation.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
}

namespace safe_migrate::operations::constraint {

namespace {

void not_a_definition(const UserText &text, int location)
{
	ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR),
					errmsg("the definition must be one table constraint, and nothing else"),
					errhint("For example: 'CONSTRAINT positive CHECK (amount > 0)'."),
					position_of(text, location)));
}

// ALTER TABLE x ADD <text> has one sub-command, which adds a constraint.
Constraint *parse(const UserText &text)
{
	const AlterTableCmd *command = parse_command(text, not_a_definition);
	if (command->subtype != AT_AddConstraint)
		not_a_definition(text, text.prefix_length);
	return castNode(Constraint, command->def);
}

// ---------------------------------------------------------------- CHECK

// As AddRelationNewConstraints() and cookConstraint().
Node *analyse_check(Relation relation, const UserText &text, const Constraint *parsed)
{
	ParseState *state = make_parsestate(nullptr);
	state->p_sourcetext = text.source;
	ParseNamespaceItem *item =
		addRangeTableEntryForRelation(state, relation, AccessShareLock, nullptr, false, true);
	addNSItemToQuery(state, item, true, true, true);
	Node *expression = transformExpr(state, static_cast<Node *>(copyObjectImpl(parsed->raw_expr)),
									 EXPR_KIND_CHECK_CONSTRAINT);
	expression = coerce_to_boolean(state, expression, "CHECK");
	assign_expr_collations(state, expression);
	if (list_length(state->p_rtable) != 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
						errmsg("only table \"%s\" can be referenced in check constraint",
							   RelationGetRelationName(relation))));
	return expression;
}

// The column that gives the constraint its name: the only one that it uses.
const char *only_column(Relation relation, Node *expression)
{
	List *vars = pull_var_clause(expression, 0);
	AttrNumber found = InvalidAttrNumber;
	ListCell *cell;
	foreach (cell, vars) {
		AttrNumber attnum = lfirst_node(Var, cell)->varattno;
		if (found != InvalidAttrNumber && found != attnum)
			return nullptr;
		found = attnum;
	}
	return found > 0 ? get_attname(RelationGetRelid(relation), found, true) : nullptr;
}

void read_check(Definition *definition, Relation relation, const UserText &text)
{
	Node *expression = analyse_check(relation, text, definition->parsed);
	List *context =
		deparse_context_for(RelationGetRelationName(relation), RelationGetRelid(relation));
	pg::PinnedSettings pinned = {};
	pinned.enter();
	definition->expression = deparse_expression(expression, context, false, false);
	pinned.leave();
	definition->no_inherit = definition->parsed->is_no_inherit;
	if (definition->no_inherit && relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
		ereport(ERROR, (errcode(ERRCODE_INVALID_TABLE_DEFINITION),
						errmsg("cannot add NO INHERIT constraint to partitioned table \"%s\"",
							   RelationGetRelationName(relation))));
	definition->body = psprintf("CHECK (%s)%s", definition->expression,
								definition->no_inherit ? " NO INHERIT" : "");
	if (!definition->named)
		definition->name = ChooseConstraintName(RelationGetRelationName(relation),
												only_column(relation, expression), "check",
												RelationGetNamespace(relation), NIL);
}

// ---------------------------------------------------------------- keys

List *names_of(const List *strings)
{
	List *names = NIL;
	ListCell *cell;
	foreach (cell, strings)
		names = lappend(names, pstrdup(strVal(lfirst(cell))));
	return names;
}

constexpr const char *no_such_key_column =
	"column \"%s\" referenced in foreign key constraint does not exist";

// message: what is said of a name that the relation has no column of.
void check_columns(Relation relation, const List *columns, const char *message)
{
	ListCell *cell;
	foreach (cell, columns) {
		const char *name = static_cast<const char *>(lfirst(cell));
		if (get_attnum(RelationGetRelid(relation), name) == InvalidAttrNumber)
			ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
							errmsg_internal(message, name, RelationGetRelationName(relation))));
	}
}

// The referenced columns where they are not named: the primary key (transformFkeyGetPrimaryKey()).
List *primary_key_columns(Relation referenced)
{
	(void)RelationGetIndexList(referenced); // sets rd_pkindex
	if (!OidIsValid(referenced->rd_pkindex))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("there is no primary key for referenced table \"%s\"",
							   RelationGetRelationName(referenced))));
	Relation index = relation_open(referenced->rd_pkindex, AccessShareLock);
	List *names = NIL;
	for (int i = 0; i < index->rd_index->indnkeyatts; i++)
		names = lappend(names, get_attname(RelationGetRelid(referenced),
										   index->rd_index->indkey.values[i], false));
	relation_close(index, AccessShareLock);
	return names;
}

const char *action_text(char action)
{
	switch (action) {
		case FKCONSTR_ACTION_RESTRICT:
			return "RESTRICT";
		case FKCONSTR_ACTION_CASCADE:
			return "CASCADE";
		case FKCONSTR_ACTION_SETNULL:
			return "SET NULL";
		case FKCONSTR_ACTION_SETDEFAULT:
			return "SET DEFAULT";
		default:
			return nullptr;
	}
}

void append_deferrable(StringInfo text, const Constraint *parsed)
{
	if (parsed->deferrable)
		appendStringInfoString(text, " DEFERRABLE");
	if (parsed->initdeferred)
		appendStringInfoString(text, " INITIALLY DEFERRED");
}

void append_actions(StringInfo text, const Constraint *parsed)
{
	if (parsed->fk_matchtype == FKCONSTR_MATCH_FULL)
		appendStringInfoString(text, " MATCH FULL");
	if (const char *on_update = action_text(parsed->fk_upd_action))
		appendStringInfo(text, " ON UPDATE %s", on_update);
	if (const char *on_delete = action_text(parsed->fk_del_action))
		appendStringInfo(text, " ON DELETE %s", on_delete);
	if (parsed->fk_del_set_cols != NIL)
		appendStringInfo(text, " (%s)", column_list(names_of(parsed->fk_del_set_cols)));
	append_deferrable(text, parsed);
}

// Is the referencing type compared with the key's?  The key's operator class is taken to be that of
// its type.
bool is_comparable(Oid type, Oid referenced_type)
{
	Oid right;
	Oid opclass = GetDefaultOpClass(referenced_type, BTREE_AM_OID);
	return !OidIsValid(opclass) ||
		   OidIsValid(statement::key_operator(opclass, referenced_type, type, &right));
}

// As ATAddForeignKeyConstraint(): found out here, and not by a worker later.
void check_type(const char *constraint, const char *column, Oid type, const char *referenced,
				Oid referenced_type)
{
	if (is_comparable(type, referenced_type))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("foreign key constraint \"%s\" cannot be implemented", constraint),
			 errdetail("Key columns \"%s\" and \"%s\" are of incompatible types: %s and %s.",
					   column, referenced, format_type_be(type), format_type_be(referenced_type))));
}

Oid type_of(Relation relation, const char *column)
{
	Oid oid = RelationGetRelid(relation);
	return get_atttype(oid, get_attnum(oid, column));
}

void check_types(Relation relation, Relation referenced, const Definition &definition)
{
	ListCell *left, *right;
	forboth(left, definition.columns, right, definition.referenced_columns)
	{
		const char *column = static_cast<const char *>(lfirst(left));
		const char *other = static_cast<const char *>(lfirst(right));
		check_type(definition.name, column, type_of(relation, column), other,
				   type_of(referenced, other));
	}
}

// As transformColumnNameList().
void check_key_columns(Relation relation, const List *columns)
{
	check_columns(relation, columns, no_such_key_column);
	ListCell *cell;
	foreach (cell, columns)
		if (get_attnum(RelationGetRelid(relation), static_cast<const char *>(lfirst(cell))) < 0)
			ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
							errmsg("system columns cannot be used in foreign keys")));
}

// As transformFkeyCheckAttrs().
void refuse_repeated(const List *columns)
{
	ListCell *cell, *other;
	foreach (cell, columns)
		foreach (other, columns)
			if (cell != other && strcmp(static_cast<const char *>(lfirst(cell)),
										static_cast<const char *>(lfirst(other))) == 0)
				ereport(ERROR, (errcode(ERRCODE_INVALID_FOREIGN_KEY),
								errmsg("foreign key referenced-columns list must not contain "
									   "duplicates")));
}

void read_referenced(Definition *definition, Relation referenced)
{
	const Constraint *parsed = definition->parsed;
	check_kind_of_referenced(referenced);
	definition->referenced = RelationGetRelid(referenced);
	definition->referenced_columns =
		parsed->pk_attrs == NIL ? primary_key_columns(referenced) : names_of(parsed->pk_attrs);
	check_key_columns(referenced, definition->referenced_columns);
	refuse_repeated(definition->referenced_columns);
	if (list_length(definition->columns) != list_length(definition->referenced_columns))
		ereport(ERROR, (errcode(ERRCODE_INVALID_FOREIGN_KEY),
						errmsg("number of referencing and referenced columns for foreign key "
							   "disagree")));
}

bool is_set(char action)
{
	return action == FKCONSTR_ACTION_SETNULL || action == FKCONSTR_ACTION_SETDEFAULT;
}

// What is generated can't be set.
void check_actions(Relation relation, const Definition &definition)
{
	const Constraint *parsed = definition.parsed;
	bool on_update =
		is_set(parsed->fk_upd_action) || parsed->fk_upd_action == FKCONSTR_ACTION_CASCADE;
	if (!on_update && !is_set(parsed->fk_del_action))
		return;
	ListCell *cell;
	foreach (cell, definition.columns) {
		AttrNumber number =
			get_attnum(RelationGetRelid(relation), static_cast<const char *>(lfirst(cell)));
		if (TupleDescAttr(RelationGetDescr(relation), number - 1)->attgenerated != '\0')
			ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR),
							errmsg("invalid %s action for foreign key constraint containing "
								   "generated column",
								   on_update ? "ON UPDATE" : "ON DELETE")));
	}
}

// As validateFkOnDeleteSetColumns().
void check_set_columns(Relation relation, const Definition &definition)
{
	check_columns(relation, names_of(definition.parsed->fk_del_set_cols), no_such_key_column);
	ListCell *cell, *other;
	foreach (cell, definition.parsed->fk_del_set_cols) {
		bool among = false;
		foreach (other, definition.columns)
			among = among ||
					strcmp(strVal(lfirst(cell)), static_cast<const char *>(lfirst(other))) == 0;
		if (!among)
			ereport(ERROR, (errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
							errmsg("column \"%s\" referenced in ON DELETE SET action must be part "
								   "of foreign key",
								   strVal(lfirst(cell)))));
	}
}

// As ATAddForeignKeyConstraint(); temporary tables are refused elsewhere.
void check_persistence(Relation relation, Relation referenced)
{
	if (RelationIsPermanent(relation) && !RelationIsPermanent(referenced))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("constraints on permanent tables may reference only permanent tables")));
	if (relation->rd_rel->relpersistence == RELPERSISTENCE_UNLOGGED &&
		referenced->rd_rel->relpersistence == RELPERSISTENCE_TEMP)
		ereport(ERROR, (errcode(ERRCODE_INVALID_TABLE_DEFINITION),
						errmsg("constraints on unlogged tables may reference only permanent or "
							   "unlogged tables")));
}

void read_foreign_key(Definition *definition, Relation relation)
{
	const Constraint *parsed = definition->parsed;
	if (pg::has_period(parsed))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("foreign keys with PERIOD can't be added by a job")));
	Relation referenced = relation_openrv(parsed->pktable, AccessShareLock);
	check_kind_of_referenced(referenced);
	check_persistence(relation, referenced);
	definition->columns = names_of(parsed->fk_attrs);
	check_key_columns(relation, definition->columns);
	read_referenced(definition, referenced);
	check_set_columns(relation, *definition);
	check_actions(relation, *definition);
	if (!definition->named)
		definition->name = ChooseConstraintName(RelationGetRelationName(relation),
												index::joined_names(definition->columns), "fkey",
												RelationGetNamespace(relation), NIL);
	check_types(relation, referenced, *definition);
	StringInfoData text;
	initStringInfo(&text);
	pg::PinnedSettings pinned = {};
	pinned.enter();
	appendStringInfo(&text, "FOREIGN KEY (%s) REFERENCES %s(%s)", column_list(definition->columns),
					 ddl::quoted_name(definition->referenced),
					 column_list(definition->referenced_columns));
	append_actions(&text, parsed);
	pinned.leave();
	definition->body = text.data;
	relation_close(referenced, NoLock);
}

// As ATExecAddIndexConstraint().
void refuse_index_of_partitions(Relation relation)
{
	if (relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("ALTER TABLE / ADD CONSTRAINT USING INDEX is not supported on "
							   "partitioned tables")));
}

void read_key(Definition *definition, Relation relation)
{
	const Constraint *parsed = definition->parsed;
	if (pg::is_without_overlaps(parsed))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("keys WITHOUT OVERLAPS can't be added by a job"),
						errdetail("The server can neither build their index concurrently nor take "
								  "over one that is there.")));
	definition->columns = names_of(parsed->keys);
	if (parsed->indexname) { // nothing to build
		refuse_index_of_partitions(relation);
		definition->name = definition->named ? definition->name : pstrdup(parsed->indexname);
		return;
	}
	check_columns(relation, definition->columns, "column \"%s\" named in key does not exist");
	bool primary = definition->type == CONSTR_PRIMARY;
	if (!definition->named)
		definition->name =
			ChooseRelationName(RelationGetRelationName(relation),
							   primary ? nullptr
									   : index::joined_names(list_concat_copy(
											 definition->columns, names_of(parsed->including))),
							   primary ? "pkey" : "key", RelationGetNamespace(relation), true);
	StringInfoData text;
	initStringInfo(&text);
	appendStringInfo(&text, "%s%s (%s)", primary ? "PRIMARY KEY" : "UNIQUE",
					 parsed->nulls_not_distinct ? " NULLS NOT DISTINCT" : "",
					 column_list(definition->columns));
	if (parsed->including != NIL)
		appendStringInfo(&text, " INCLUDE (%s)", column_list(names_of(parsed->including)));
	append_deferrable(&text, parsed);
	definition->body = text.data;
	definition->storage = psprintf(
		"%s%s",
		parsed->options != NIL ? psprintf(" WITH (%s)", index::options_text(parsed->options)) : "",
		parsed->indexspace
			? psprintf(" USING INDEX TABLESPACE %s", quote_identifier(parsed->indexspace))
			: "");
}

// NOT NULL as a table constraint (18).
void read_not_null(Definition *definition, Relation relation)
{
	definition->columns = names_of(definition->parsed->keys);
	check_columns(relation, definition->columns, "column \"%s\" of relation \"%s\" does not exist");
	const char *column = static_cast<const char *>(linitial(definition->columns));
	definition->no_inherit = definition->parsed->is_no_inherit;
	if (!definition->named)
		definition->name = ChooseConstraintName(RelationGetRelationName(relation), column,
												"not_null", RelationGetNamespace(relation), NIL);
	pg::PinnedSettings pinned = {};
	pinned.enter();
	definition->body = psprintf("NOT NULL %s%s", quote_identifier(column),
								definition->no_inherit ? " NO INHERIT" : "");
	pinned.leave();
}

} // namespace

void check_reference_of(Relation relation, const char *column, Oid type, const char *name,
						const Constraint *parsed)
{
	Relation referenced = relation_openrv(parsed->pktable, AccessShareLock);
	Definition definition = {};
	definition.parsed = parsed;
	definition.columns = list_make1(pstrdup(column));
	read_referenced(&definition, referenced);
	const char *other = static_cast<const char *>(linitial(definition.referenced_columns));
	check_type(name, column, type, other, type_of(referenced, other));
	relation_close(referenced, NoLock);
	check_referenced(relation, definition);
	if (relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE) // which has none of that column
		(void)leaves_without_key(RelationGetRelid(relation), definition);
}

char *column_list(List *columns)
{
	StringInfoData text;
	initStringInfo(&text);
	ListCell *cell;
	foreach (cell, columns)
		appendStringInfo(&text, "%s%s", text.len > 0 ? ", " : "",
						 quote_identifier(static_cast<const char *>(lfirst(cell))));
	return text.data;
}

Definition read_definition(Relation relation, const char *source)
{
	UserText text = user_text("definition", "ALTER TABLE x ADD ", source);
	text.enter();
	Definition definition = {};
	definition.parsed = parse(text);
	definition.type = definition.parsed->contype;
	definition.named = definition.parsed->conname != nullptr;
	if (definition.named)
		definition.name = pstrdup(definition.parsed->conname);
	switch (definition.type) {
		case CONSTR_CHECK:
			read_check(&definition, relation, text);
			break;
		case CONSTR_FOREIGN:
			read_foreign_key(&definition, relation);
			break;
		case CONSTR_UNIQUE:
		case CONSTR_PRIMARY:
			read_key(&definition, relation);
			break;
		case CONSTR_NOTNULL:
			read_not_null(&definition, relation);
			break;
		default:
			break;
	}
	text.leave();
	return definition;
}

Definition foreign_key(Relation relation, const Constraint *parsed)
{
	Definition definition = {};
	definition.parsed = parsed;
	definition.type = CONSTR_FOREIGN;
	definition.named = parsed->conname != nullptr;
	definition.name = definition.named ? pstrdup(parsed->conname) : nullptr;
	read_foreign_key(&definition, relation);
	return definition;
}

char *exists_query(Oid relation, const Definition &definition, bool valid)
{
	return psprintf("SELECT EXISTS (SELECT FROM pg_constraint WHERE conrelid = %u AND conname = %s"
					" AND regexp_replace(pg_get_constraintdef(oid), '( NOT VALID)$', '') = %s%s)",
					relation, ddl::literal(definition.name), ddl::literal(definition.body),
					valid ? " AND convalidated" : "");
}

} // namespace safe_migrate::operations::constraint
