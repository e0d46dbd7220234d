// See definition.hpp.
#include "operations/column/definition.hpp"

#include "operations/column/domain.hpp"
#include "operations/constraint/definition.hpp"
#include "operations/ddl/parse_analysis.hpp"
#include "operations/ddl/sql.hpp"
#include "operations/index/check.hpp"
#include "operations/index/definition.hpp"
#include "operations/user_text.hpp"
#include "pg/compat_alter.hpp"
#include "pg/pinned_settings.hpp"
#include "statement/folding.hpp"

extern "C" {
#include "access/table.h"
#include "access/toast_compression.h"
#include "catalog/heap.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "lib/stringinfo.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_relation.h"
#include "parser/parse_type.h"
#include "parser/scansup.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
}

namespace safe_migrate::operations::column {

using ddl::identifier;

namespace {

constexpr const char *prefix = "ALTER TABLE x ADD COLUMN ";

void not_a_column(const UserText &text, int location)
{
	ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR),
					errmsg("the definition must be one column definition, and nothing else"),
					errhint("For example: 'rating int DEFAULT 0 NOT NULL'."),
					position_of(text, location)));
}

AlterTableCmd *parse(const UserText &text)
{
	AlterTableCmd *command = parse_command(text, not_a_column);
	if (command->subtype != AT_AddColumn || command->missing_ok)
		not_a_column(text, text.prefix_length);
	return command;
}

// ---------------------------------------------------------------- type and default

// The domain gives way to its base type.
Oid read_domain(Definition *definition)
{
	DomainParts parts = take_apart(definition->type, definition->name);
	definition->domain = definition->type;
	definition->type = parts.type;
	definition->typmod = parts.typmod;
	definition->is_not_null = parts.is_not_null;
	return parts.collation != get_typcollation(parts.type) ? parts.collation : InvalidOid;
}

// As GetAttributeCompression().
void check_compression(const Definition &definition)
{
	const char *wanted = definition.parsed->compression;
	if (!wanted || strcmp(wanted, "default") == 0)
		return;
	if (!TypeIsToastable(definition.type))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("column data type %s does not support compression",
							   format_type_be(definition.type))));
	if (!CompressionMethodIsValid(CompressionNameToMethod(wanted)))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid compression method \"%s\"", wanted)));
}

void read_type(Definition *definition, ParseState *state)
{
	const ColumnDef *parsed = definition->parsed;
	definition->typmod = -1;
	definition->type = serial_type(parsed->typeName);
	definition->is_serial = OidIsValid(definition->type);
	if (definition->is_serial && parsed->typeName->arrayBounds != NIL)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("array of serial is not implemented")));
	if (!definition->is_serial)
		typenameTypeIdAndMod(state, parsed->typeName, &definition->type, &definition->typmod);
	definition->given = definition->type;
	definition->is_not_null = definition->is_serial;
	Oid collation = is_constrained_domain(definition->type) ? read_domain(definition) : InvalidOid;
	if (parsed->collClause)
		collation = LookupCollation(state, parsed->collClause->collname, -1);
	pg::PinnedSettings pinned = {};
	pinned.enter();
	StringInfoData text;
	initStringInfo(&text);
	appendStringInfoString(&text, format_type_with_typemod(definition->type, definition->typmod));
	if (const char *storage = pg::storage_name(parsed))
		appendStringInfo(&text, " STORAGE %s", storage);
	check_compression(*definition);
	if (parsed->compression)
		appendStringInfo(&text, " COMPRESSION %s", quote_identifier(parsed->compression));
	if (OidIsValid(collation))
		appendStringInfo(&text, " COLLATE %s", generate_collation_name(collation));
	pinned.leave();
	definition->type_text = text.data;
}

void keep_default(Definition *definition, Node *value)
{
	pg::PinnedSettings pinned = {};
	pinned.enter();
	definition->default_text = deparse_expression(value, NIL, false, false);
	pinned.leave();
	definition->default_is_volatile = statement::is_volatile(value);
	Node *planned = statement::plan_built_in(value);
	definition->default_is_null =
		IsA(planned, Const) && reinterpret_cast<const Const *>(planned)->constisnull;
}

void read_default(Definition *definition, ParseState *state, Node *raw)
{
	keep_default(definition,
				 cookDefault(state, static_cast<Node *>(copyObjectImpl(raw)), definition->type,
							 definition->typmod, definition->name, '\0'));
}

// Where the column has none, its type may: as build_column_default().
void read_type_default(Definition *definition)
{
	Node *value = get_typdefault(definition->given);
	if (!value || definition->default_text || definition->identity || definition->is_stored ||
		definition->is_virtual)
		return;
	keep_default(definition, coerce_to_target_type(nullptr, value, exprType(value),
												   definition->type, definition->typmod,
												   COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST, -1));
	definition->default_is_types = !OidIsValid(definition->domain);
}

// ---------------------------------------------------------------- constraints

// The end of what one constraint has said: where the next thing begins.
int end_of(const Definition &definition, const UserText &text, int start)
{
	int end = static_cast<int>(strlen(text.source));
	ListCell *cell;
	foreach (cell, definition.parsed->constraints) {
		const auto *other = lfirst_node(Constraint, cell);
		if (other->location > start && !pg::is_constraint_attribute(other))
			end = Min(end, other->location);
	}
	const CollateClause *collation = definition.parsed->collClause;
	if (collation && collation->location > start)
		end = Min(end, collation->location);
	return end;
}

const char *skip_space(const char *at)
{
	while (scanner_isspace(*at))
		at++;
	return at;
}

const char *skip_name(const char *at)
{
	if (*at != '"') {
		while (*at && !scanner_isspace(*at))
			at++;
		return at;
	}
	for (at++; *at; at++)
		if (*at == '"' && *++at != '"')
			break;
	return at;
}

// Its text without "CONSTRAINT name".
char *body_of(const Definition &definition, const UserText &text, const Constraint *parsed)
{
	const char *begin = text.source + parsed->location;
	const char *end = text.source + end_of(definition, text, parsed->location);
	if (parsed->conname)
		begin = skip_space(skip_name(skip_space(begin + strlen("CONSTRAINT"))));
	return pnstrdup(begin, static_cast<Size>(end - begin));
}

// The relation as it will be with the column: good for the analysis of an expression.
Relation with_column(Relation relation, const Definition &definition)
{
	TupleDesc old = RelationGetDescr(relation);
	TupleDesc desc = CreateTemplateTupleDesc(old->natts + 1);
	for (int i = 1; i <= old->natts; i++)
		TupleDescCopyEntry(desc, static_cast<AttrNumber>(i), old, static_cast<AttrNumber>(i));
	for (int i = 0; i < old->natts; i++)
		if (TupleDescAttr(old, i)->attisdropped)
			TupleDescAttr(desc, i)->attisdropped = true;
	auto added = static_cast<AttrNumber>(old->natts + 1);
	TupleDescInitEntry(desc, added, definition.name, definition.type, definition.typmod, 0);
	auto *copy = static_cast<Relation>(palloc(sizeof(RelationData)));
	*copy = *relation;
	copy->rd_att = desc;
	return copy;
}

// As AddRelationNewConstraints(): the only column of a CHECK gives it its name.
const char *column_of_check(Relation relation, const Definition &definition, const UserText &text,
							const Constraint *parsed)
{
	ParseState *state = make_parsestate(nullptr);
	state->p_sourcetext = text.source;
	Relation changed = with_column(relation, definition);
	addNSItemToQuery(
		state, addRangeTableEntryForRelation(state, changed, AccessShareLock, nullptr, false, true),
		true, true, true);
	Node *expression = transformExpr(state, static_cast<Node *>(copyObjectImpl(parsed->raw_expr)),
									 EXPR_KIND_CHECK_CONSTRAINT);
	expression = coerce_to_boolean(state, expression, "CHECK");
	AttrNumber found = InvalidAttrNumber;
	ListCell *cell;
	foreach (cell, pull_var_clause(expression, 0)) {
		AttrNumber attnum = lfirst_node(Var, cell)->varattno;
		if (found != InvalidAttrNumber && found != attnum)
			return nullptr;
		found = attnum;
	}
	return found > 0
			   ? pstrdup(NameStr(TupleDescAttr(RelationGetDescr(changed), found - 1)->attname))
			   : nullptr;
}

char *constraint_name(Definition *definition, Relation relation, const Constraint *parsed,
					  const char *column, const char *label)
{
	char *name = parsed->conname
					 ? pstrdup(parsed->conname)
					 : ChooseConstraintName(RelationGetRelationName(relation), column, label,
											RelationGetNamespace(relation), definition->names);
	definition->names = lappend(definition->names, name);
	return name;
}

char *key_name(Relation relation, const Constraint *parsed, const char *column)
{
	bool primary = parsed->contype == CONSTR_PRIMARY;
	return parsed->conname
			   ? pstrdup(parsed->conname)
			   : ChooseRelationName(RelationGetRelationName(relation), primary ? nullptr : column,
									primary ? "pkey" : "key", RelationGetNamespace(relation), true);
}

// "UNIQUE (column) WITH (…) USING INDEX TABLESPACE … DEFERRABLE"
char *key_text(const Definition &definition, const UserText &text, const Constraint *parsed)
{
	StringInfoData key;
	initStringInfo(&key);
	appendStringInfo(
		&key, "%s%s (%s)", parsed->contype == CONSTR_PRIMARY ? "PRIMARY KEY" : "UNIQUE",
		parsed->nulls_not_distinct ? " NULLS NOT DISTINCT" : "", identifier(definition.name));
	if (parsed->options != NIL)
		appendStringInfo(&key, " WITH (%s)", index::options_text(parsed->options));
	if (parsed->indexspace)
		appendStringInfo(&key, " USING INDEX TABLESPACE %s", identifier(parsed->indexspace));
	int end = end_of(definition, text, parsed->location);
	ListCell *cell;
	foreach (cell, definition.parsed->constraints) {
		const auto *other = lfirst_node(Constraint, cell);
		if (other->location < parsed->location || other->location >= end)
			continue;
		if (other->contype == CONSTR_ATTR_DEFERRABLE)
			appendStringInfoString(&key, " DEFERRABLE");
		if (other->contype == CONSTR_ATTR_DEFERRED)
			appendStringInfoString(&key, " INITIALLY DEFERRED");
	}
	return key.data;
}

void add_constraint(Definition *definition, const char *name, const char *body)
{
	definition->constraints =
		lappend(definition->constraints, psprintf("CONSTRAINT %s %s", identifier(name), body));
}

// The domain's own conditions, as CHECKs of the column.
void read_domain_checks(Definition *definition, Relation relation)
{
	ListCell *cell;
	foreach (cell, take_apart(definition->domain, definition->name).checks) {
		char *name =
			ChooseConstraintName(RelationGetRelationName(relation), definition->name, "check",
								 RelationGetNamespace(relation), definition->names);
		definition->names = lappend(definition->names, name);
		add_constraint(definition, name,
					   psprintf("CHECK (%s)", static_cast<const char *>(lfirst(cell))));
	}
}

void read_foreign_key(Definition *definition, Relation relation, const UserText &text,
					  const Constraint *parsed)
{
	const char *name = constraint_name(definition, relation, parsed, definition->name, "fkey");
	constraint::check_reference_of(relation, definition->name, definition->type, name, parsed);
	add_constraint(definition, name,
				   psprintf("FOREIGN KEY (%s) %s", identifier(definition->name),
							body_of(*definition, text, parsed)));
}

// As AddRelationNewConstraints() cooks it: it knows the columns that are there.
void check_generation(Relation relation, const Definition &definition, const UserText &text,
					  const Constraint *parsed)
{
	ParseState *state = make_parsestate(nullptr);
	state->p_sourcetext = text.source;
	addNSItemToQuery(
		state,
		addRangeTableEntryForRelation(state, relation, AccessShareLock, nullptr, false, true), true,
		true, true);
	constexpr char stored = 's', is_virtual = 'v'; // ATTRIBUTE_GENERATED_…
	(void)cookDefault(state, static_cast<Node *>(copyObjectImpl(parsed->raw_expr)), definition.type,
					  definition.typmod, definition.name,
					  pg::is_virtual(parsed) ? is_virtual : stored);
}

void read_constraint(Definition *definition, Relation relation, const UserText &text,
					 ParseState *state, Constraint *parsed)
{
	switch (parsed->contype) {
		case CONSTR_DEFAULT:
			read_default(definition, state, parsed->raw_expr);
			break;
		case CONSTR_NOTNULL:
			definition->is_not_null = true;
			break;
		case CONSTR_IDENTITY:
			definition->identity = parsed;
			definition->identity_text = body_of(*definition, text, parsed);
			definition->is_not_null = true;
			break;
		case CONSTR_GENERATED:
			definition->is_virtual = pg::is_virtual(parsed);
			definition->is_stored = !definition->is_virtual;
			check_generation(relation, *definition, text, parsed);
			break;
		case CONSTR_CHECK:
			add_constraint(definition,
						   constraint_name(definition, relation, parsed,
										   column_of_check(relation, *definition, text, parsed),
										   "check"),
						   body_of(*definition, text, parsed));
			break;
		case CONSTR_FOREIGN:
			read_foreign_key(definition, relation, text, parsed);
			break;
		case CONSTR_PRIMARY:
		case CONSTR_UNIQUE:
			index::check_index_of_new_column(relation, definition->given, parsed->options,
											 parsed->indexspace);
			definition->is_not_null = definition->is_not_null || parsed->contype == CONSTR_PRIMARY;
			add_constraint(definition, key_name(relation, parsed, definition->name),
						   key_text(*definition, text, parsed));
			break;
		default:
			if (pg::is_not_enforced_attribute(parsed))
				ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
								errmsg("this kind of constraint can't be added by a job"),
								position_of(text, parsed->location)));
			break;
	}
}

} // namespace

Oid serial_type(const TypeName *name)
{
	if (list_length(name->names) != 1 || name->pct_type)
		return InvalidOid;
	struct Serial {
		const char *name;
		Oid type;
	};
	constexpr Serial serials[] = {{"smallserial", INT2OID}, {"serial2", INT2OID},
								  {"serial", INT4OID},		{"serial4", INT4OID},
								  {"bigserial", INT8OID},	{"serial8", INT8OID}};
	for (const Serial &serial : serials)
		if (strcmp(strVal(linitial(name->names)), serial.name) == 0)
			return serial.type;
	return InvalidOid;
}

Definition read_definition(Relation relation, const char *source)
{
	UserText text = user_text("definition", prefix, source);
	text.enter();
	ParseState *state = make_parsestate(nullptr);
	state->p_sourcetext = text.source;
	Definition definition = {};
	definition.source = source;
	AlterTableCmd *command = parse(text);
	ddl::check_by_parse_analysis(relation, command, text.source);
	definition.parsed = castNode(ColumnDef, command->def);
	definition.name = definition.parsed->colname;
	read_type(&definition, state);
	if (OidIsValid(definition.domain))
		read_domain_checks(&definition, relation);
	ListCell *cell;
	foreach (cell, definition.parsed->constraints)
		read_constraint(&definition, relation, text, state, lfirst_node(Constraint, cell));
	read_type_default(&definition);
	if (definition.is_serial || definition.identity)
		definition.sequence = quote_qualified_identifier(
			get_namespace_name(RelationGetNamespace(relation)),
			ChooseRelationName(RelationGetRelationName(relation), definition.name,
							   definition.is_serial ? "seq" : "fill_seq",
							   RelationGetNamespace(relation), false));
	text.leave();
	return definition;
}

} // namespace safe_migrate::operations::column
