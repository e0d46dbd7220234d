// add_column_safely(): a column that is brief to add, the default for new rows, the rows that are
// there in batches, NOT NULL and constraints without a scan under a strong lock.
#include "operations/backfill/fill.hpp"
#include "operations/column/steps.hpp"
#include "operations/constraint/add.hpp"
#include "operations/ddl/sql.hpp"
#include "operations/ddl/target.hpp"
#include "pg/boundary.hpp"
#include "pg/compat_alter.hpp"
#include "pg/compat_analysis.hpp"
#include "pg/json.hpp"
#include "statement/relations.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/heap.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
}

namespace safe_migrate::operations::column {

using ddl::identifier;
using ddl::literal;
using ddl::quoted_name;
using statement::Lock;

namespace {

// ---------------------------------------------------------------- what can't be done

[[noreturn]] void refuse(const Definition &definition, const char *detail, const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("column \"%s\" can't be added without rewriting the table under a lock "
						   "that stops reads and writes",
						   definition.name),
					errdetail("%s", detail), errhint("%s", hint)));
	pg_unreachable();
}

void refuse_rewrites(const Definition &definition)
{
	if (definition.is_stored)
		refuse(definition, "The values of a stored generated column are made when it is added.",
			   "Add an ordinary column, keep it up to date by a trigger, and fill it by "
			   "safe_migrate.backfill().");
}

void refuse_identity(const Definition &definition)
{
	ListCell *cell;
	if (definition.identity) {
		// as sequence_options() has it
		if (definition.given != INT2OID && definition.given != INT4OID &&
			definition.given != INT8OID)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("identity column type must be smallint, integer, or bigint")));
		foreach (cell, definition.identity->options)
			if (strcmp(lfirst_node(DefElem, cell)->defname, "sequence_name") == 0)
				ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
								errmsg("SEQUENCE NAME of an identity column can't be given here"),
								errhint("Rename the sequence afterwards.")));
	}
}

// As ATExecAddColumn(): only partitions can have the identity of their parent, from 17 on.
void refuse_identity_of_children(Relation relation)
{
	bool partitioned = relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE;
	if (partitioned && pg::identity_recurses)
		return;
	if (list_length(statement::with_descendants(RelationGetRelid(relation))) > 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_TABLE_DEFINITION),
						errmsg("cannot recursively add identity column to table that has child "
							   "tables")));
}

// Do rows get a value other than NULL?
bool has_value(const Definition &definition)
{
	return definition.is_serial || definition.identity || definition.is_virtual ||
		   (definition.default_text && !definition.default_is_null);
}

void refuse_nulls(Relation relation, const Definition &definition)
{
	const char *name = quoted_name(RelationGetRelid(relation));
	if (definition.is_not_null && !has_value(definition) &&
		ddl::holds(psprintf("SELECT EXISTS (SELECT FROM %s)", name)))
		ereport(ERROR, (errcode(ERRCODE_NOT_NULL_VIOLATION),
						errmsg("column \"%s\" of relation \"%s\" would contain null values",
							   definition.name, RelationGetRelationName(relation)),
						errhint("Give it a DEFAULT, or add it without NOT NULL, and then call "
								"safe_migrate.add_not_null_safely() with fill.")));
}

// Its default and its rows would be changed, too, where the server leaves them alone.
void refuse_merging(Oid root, const Definition &definition)
{
	ListCell *cell;
	foreach (cell, statement::with_descendants(root))
		if (get_attnum(lfirst_oid(cell), definition.name) != InvalidAttrNumber)
			ereport(ERROR, (errcode(ERRCODE_DUPLICATE_COLUMN),
							errmsg("child table \"%s\" has a column \"%s\" already",
								   get_rel_name(lfirst_oid(cell)), definition.name),
							errhint("Add the column without a default first, which takes that one "
									"as its own; then set the default, and fill it by "
									"safe_migrate.backfill().")));
}

} // namespace

void check_name(Relation relation, const char *column)
{
	const char *name = RelationGetRelationName(relation);
	if (relation->rd_rel->relispartition)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("cannot add column to a partition"),
				 errhint("Add it to the partitioned table.")));
	if (OidIsValid(relation->rd_rel->reloftype))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("cannot add column to typed table")));
	AttrNumber number = get_attnum(RelationGetRelid(relation), column);
	if (number < 0)
		ereport(ERROR, (errcode(ERRCODE_DUPLICATE_COLUMN),
						errmsg("column name \"%s\" conflicts with a system column name", column)));
	if (number > 0)
		ereport(ERROR, (errcode(ERRCODE_DUPLICATE_COLUMN),
						errmsg("column \"%s\" of relation \"%s\" already exists", column, name)));
}

namespace {

// As ATExecAddColumn().
void check_type(Relation relation, const Definition &definition)
{
	if (!pg::may_use_type(definition.given, GetUserId()))
		aclcheck_error_type(ACLCHECK_NO_PRIV, definition.given);
	CheckAttributeType(definition.name, definition.given, get_typcollation(definition.given),
					   list_make1_oid(relation->rd_rel->reltype), 0);
	if (RelationGetNumberOfAttributes(relation) >= MaxHeapAttributeNumber)
		ereport(ERROR, (errcode(ERRCODE_TOO_MANY_COLUMNS),
						errmsg("tables can have at most %d columns", MaxHeapAttributeNumber)));
}

// ---------------------------------------------------------------- steps

// Rows get their values one by one.
bool is_filled(const Definition &definition)
{
	return definition.is_serial || definition.identity ||
		   (definition.default_text && definition.default_is_volatile);
}

char *next_value(const Definition &definition)
{
	return psprintf("nextval(%s::regclass)", literal(definition.sequence));
}

const char *value_of(const Definition &definition)
{
	return definition.sequence ? next_value(definition) : definition.default_text;
}

// "(START 10)" of GENERATED … AS IDENTITY (START 10), without the parentheses.
const char *sequence_options(const Definition &definition)
{
	const char *begin = definition.identity_text ? strchr(definition.identity_text, '(') : nullptr;
	const char *end = begin ? strrchr(begin, ')') : nullptr;
	return end ? pnstrdup(begin + 1, static_cast<Size>(end - begin - 1)) : "";
}

// Everything that is a change of the catalog alone, in one transaction.
char *first_statements(Oid oid, const Definition &definition)
{
	const char *table = quoted_name(oid);
	const char *column = identifier(definition.name);
	StringInfoData sql;
	initStringInfo(&sql);
	const char *options = sequence_options(definition);
	if (definition.sequence)
		appendStringInfo(&sql, "CREATE %sSEQUENCE %s AS %s%s%s; ",
						 get_rel_persistence(oid) == RELPERSISTENCE_UNLOGGED ? "UNLOGGED " : "",
						 definition.sequence, format_type_be(definition.type),
						 options[0] ? " " : "", options);
	appendStringInfo(&sql, "ALTER TABLE %s ADD COLUMN %s %s", table, column, definition.type_text);
	if (definition.default_text && !definition.default_is_volatile) {
		if (!definition.default_is_types)
			appendStringInfo(&sql, " DEFAULT %s", definition.default_text);
		if (definition.is_not_null && !definition.default_is_null)
			appendStringInfoString(&sql, " NOT NULL");
	}
	if (is_filled(definition) && definition.default_is_types) // it is not computed for the rows now
		appendStringInfo(&sql, " DEFAULT NULL; ALTER TABLE %s ALTER COLUMN %s DROP DEFAULT", table,
						 column);
	else if (is_filled(definition))
		appendStringInfo(&sql, "; ALTER TABLE %s ALTER COLUMN %s SET DEFAULT %s", table, column,
						 value_of(definition));
	if (definition.sequence) // which goes with the column
		appendStringInfo(&sql, "; ALTER SEQUENCE %s OWNED BY %s.%s", definition.sequence, table,
						 column);
	return sql.data;
}

ddl::RecipeStep *add_first_step(ddl::Recipe *recipe, Oid oid, const Definition &definition,
								const char *sql)
{
	ddl::RecipeStep *step = ddl::add_step(recipe, "statement", sql);
	ddl::add_lock(step, oid, Lock::access_exclusive);
	step->descend = true;
	ddl::need_owners(recipe, oid);
	ddl::expect_relation(step, oid);
	step->undo = psprintf("ALTER TABLE %s DROP COLUMN IF EXISTS %s", quoted_name(oid),
						  identifier(definition.name));
	return step;
}

struct Part {
	const char *fill;
	bool not_null;
	const char *constraint;
};

void add_part(ddl::Recipe *recipe, Oid oid, const Definition &definition, const Part &part)
{
	StringInfoData json;
	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	pg::json_number(&json, "relation", oid);
	pg::json_text(&json, "column", definition.name);
	pg::json_text(&json, "fill", part.fill);
	pg::json_bool(&json, "not_null", part.not_null);
	pg::json_text(&json, "constraint", part.constraint);
	appendStringInfoChar(&json, '}');
	const char *table = quoted_name(oid);
	const char *column = identifier(definition.name);
	const char *sql = part.constraint ? psprintf("ALTER TABLE %s ADD %s", table, part.constraint)
					  : part.not_null
						  ? psprintf("ALTER TABLE %s ALTER COLUMN %s SET NOT NULL", table, column)
						  : psprintf("UPDATE %s SET %s = %s WHERE %s", table, column, part.fill,
									 ddl::null_test(definition.name, definition.type, true));
	ddl::RecipeStep *step = ddl::add_step(recipe, "column part", sql);
	step->definition = json.data;
	step->effect = statement::Effect::scan;
	step->bytes = statement::heap_bytes(oid);
}

// The sequence that the rows were numbered by gives way to the identity's own, which goes on from
// there.
void add_identity_step(ddl::Recipe *recipe, Oid oid, const Definition &definition)
{
	const char *table = quoted_name(oid);
	const char *column = identifier(definition.name);
	ddl::RecipeStep *step = ddl::add_step(
		recipe, "statement",
		psprintf("ALTER SEQUENCE %s OWNED BY NONE; ALTER TABLE %s ALTER COLUMN %s DROP DEFAULT; "
				 "ALTER TABLE %s ALTER COLUMN %s ADD %s; SELECT "
				 "setval(pg_get_serial_sequence(%s, %s), %s, false); DROP SEQUENCE %s",
				 definition.sequence, table, column, table, column, definition.identity_text,
				 literal(table), literal(definition.name), next_value(definition),
				 definition.sequence));
	ddl::add_lock(step, oid, Lock::access_exclusive);
	step->descend = true;
	step->done = psprintf("SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = %u AND attname "
						  "= %s AND attidentity <> '')",
						  oid, literal(definition.name));
	step->undo = psprintf("ALTER TABLE %s ALTER COLUMN %s DROP IDENTITY", table, column);
	ddl::expect_relation(step, oid);
}

} // namespace

namespace {

void add_parts(ddl::Recipe *recipe, Oid oid, const Definition &definition)
{
	bool has_not_null =
		definition.default_text && !definition.default_is_volatile && !definition.default_is_null;
	const char *fill = is_filled(definition) ? value_of(definition) : nullptr;
	if (definition.is_not_null && !has_not_null)
		add_part(recipe, oid, definition, {fill, true, nullptr});
	else if (fill)
		add_part(recipe, oid, definition, {fill, false, nullptr});
	if (definition.identity)
		add_identity_step(recipe, oid, definition);
	ListCell *cell;
	foreach (cell, definition.constraints)
		add_part(recipe, oid, definition,
				 {nullptr, false, static_cast<const char *>(lfirst(cell))});
}

char *plain_statement(Oid oid, const char *text)
{
	return psprintf("ALTER TABLE %s ADD COLUMN %s", quoted_name(oid), text);
}

} // namespace

void check_column(Relation relation, const Definition &definition)
{
	check_name(relation, definition.name);
	check_type(relation, definition);
	refuse_identity(definition);
	if (definition.identity)
		refuse_identity_of_children(relation);
	ListCell *cell;
	foreach (cell, definition.parsed->constraints)
		if (lfirst_node(Constraint, cell)->contype == CONSTR_PRIMARY)
			constraint::refuse_second_primary_key(relation);
}

void add_column_steps(ddl::Recipe *recipe, Relation relation, const Definition &definition)
{
	Oid oid = RelationGetRelid(relation);
	check_column(relation, definition);
	if (definition.is_virtual) { // brief as it stands
		add_first_step(recipe, oid, definition, plain_statement(oid, definition.source))
			->caller_path = true;
		return;
	}
	refuse_rewrites(definition);
	refuse_nulls(relation, definition);
	if (definition.sequence)
		ddl::check_may_create_beside(oid);
	if (is_filled(definition))
		refuse_merging(oid, definition);
	if (is_filled(definition))
		backfill::check_may_fill(oid);
	add_first_step(recipe, oid, definition, first_statements(oid, definition));
	add_parts(recipe, oid, definition);
}

namespace {

void note_domain(const Definition &definition)
{
	if (OidIsValid(definition.domain))
		ereport(NOTICE,
				(errmsg("column \"%s\" gets type %s, not domain %s", definition.name,
						format_type_with_typemod(definition.type, definition.typmod),
						format_type_be(definition.domain)),
				 errdetail("The server rewrites a table for each column of a domain with "
						   "constraints. The column gets those as constraints of its own, to "
						   "which later changes of the domain mean nothing.")));
}

jobs::JobId add_column(Oid oid, const char *text, const Options &options)
{
	char *sql = plain_statement(oid, text);
	auto plan = [&](ddl::Recipe *recipe, Relation relation) {
		Definition definition = read_definition(relation, text);
		check_column(relation, definition);
		recipe->plain = list_make1(sql);
		if (!ddl::is_done_inline(*recipe)) { // plain DDL can add any
			add_column_steps(recipe, relation, definition);
			note_domain(definition);
		}
	};
	return ddl::carry_out_on_table("add_column", oid, sql, options, plan);
}

} // namespace

} // namespace safe_migrate::operations::column

SAFE_MIGRATE_OPERATION(safe_migrate_add_column_safely)
{
	using namespace safe_migrate::operations;
	begin_call(fcinfo, "add_column_safely()", {"relation", "definition"});
	PG_RETURN_INT64(column::add_column(PG_GETARG_OID(0), text_to_cstring(PG_GETARG_TEXT_PP(1)),
									   read_options(fcinfo, 2)));
}
