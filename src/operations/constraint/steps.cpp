// See steps.hpp.
#include "operations/constraint/steps.hpp"

#include "operations/constraint/parts.hpp"
#include "operations/constraint/undo.hpp"
#include "operations/ddl/sql.hpp"
#include "operations/ddl/target.hpp"
#include "pg/compat_alter.hpp"
#include "pg/compat_analysis.hpp"
#include "statement/relations.hpp"

extern "C" {
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"
}

namespace safe_migrate::operations::constraint {

using ddl::identifier;
using ddl::literal;
using ddl::quoted_name;
using statement::Lock;

namespace {

constexpr int most_counted = 1'000'000;
constexpr int samples = 10;

// A foreign key is about no table that inherits from these; partitions are theirs.
const char *only(Oid table)
{
	return get_rel_relkind(table) == RELKIND_PARTITIONED_TABLE ? "" : "ONLY ";
}

// Of all columns "f.a IS NOT NULL AND f.b IS NOT NULL", or with other words.
void append_tests(StringInfo query, const List *columns, const char *test, const char *between)
{
	ListCell *cell;
	foreach (cell, columns)
		appendStringInfo(query, "%sf.%s %s", cell == list_head(columns) ? "" : between,
						 quote_identifier(static_cast<const char *>(lfirst(cell))), test);
}

// MATCH FULL lets a row have NULL in all of the columns or in none.
void append_mixed_nulls(StringInfo query, const Definition &definition)
{
	if (!definition.parsed || definition.parsed->fk_matchtype != FKCONSTR_MATCH_FULL)
		return;
	appendStringInfoString(query, "(");
	append_tests(query, definition.columns, "IS NULL", " OR ");
	appendStringInfoString(query, ") AND (");
	append_tests(query, definition.columns, "IS NOT NULL", " OR ");
	appendStringInfoString(query, ") OR ");
}

// What the rows that violate it are in: "<table> t" and the condition on them.
void append_violations(StringInfo query, Oid relation, const Definition &definition)
{
	if (definition.type == CONSTR_CHECK) {
		appendStringInfo(query, "FROM %s%s WHERE NOT (%s)", definition.no_inherit ? "ONLY " : "",
						 quoted_name(relation), definition.expression);
		return;
	}
	if (definition.type == CONSTR_NOTNULL) {
		const auto *column = static_cast<const char *>(linitial(definition.columns));
		appendStringInfo(query, "FROM %s WHERE %s", quoted_name(relation),
						 ddl::null_test_of(relation, column, true));
		return;
	}
	appendStringInfo(query, "FROM %s%s f WHERE ", only(relation), quoted_name(relation));
	append_mixed_nulls(query, definition);
	append_tests(query, definition.columns, "IS NOT NULL", " AND ");
	ListCell *left, *right;
	appendStringInfo(query, " AND NOT EXISTS (SELECT FROM %s%s p WHERE ",
					 only(definition.referenced), quoted_name(definition.referenced));
	forboth(left, definition.columns, right, definition.referenced_columns) appendStringInfo(
		query, "%sp.%s = f.%s", left == list_head(definition.columns) ? "" : " AND ",
		quote_identifier(static_cast<const char *>(lfirst(right))),
		quote_identifier(static_cast<const char *>(lfirst(left))));
	appendStringInfoChar(query, ')');
}

// "(id)=(7)" of the row's primary key, of what a foreign key refers to, else its place.
char *key_text(Relation relation, const Definition &definition)
{
	List *columns = NIL;
	if (definition.type == CONSTR_FOREIGN)
		columns = definition.columns;
	else {
		Bitmapset *key = RelationGetIndexAttrBitmap(relation, INDEX_ATTR_BITMAP_PRIMARY_KEY);
		int member = -1;
		while ((member = bms_next_member(key, member)) >= 0)
			columns = lappend(columns, get_attname(RelationGetRelid(relation),
												   static_cast<AttrNumber>(
													   member + FirstLowInvalidHeapAttributeNumber),
												   false));
	}
	if (columns == NIL)
		return pstrdup("'ctid ' || ctid");
	StringInfoData shown;
	initStringInfo(&shown);
	ListCell *cell;
	foreach (cell, columns)
		appendStringInfo(&shown, "%scoalesce(%s::text, 'null')", shown.len > 0 ? ", " : "",
						 quote_identifier(static_cast<const char *>(lfirst(cell))));
	return psprintf("%s || concat_ws(', ', %s) || ')'",
					literal(psprintf("(%s)=(", column_list(columns))), shown.data);
}

} // namespace

char *violations_count(Oid relation, const Definition &definition)
{
	StringInfoData query;
	initStringInfo(&query);
	appendStringInfo(&query,
					 "SELECT CASE WHEN n > %d THEN 'more than %d' ELSE n::text END FROM "
					 "(SELECT count(*) AS n FROM (SELECT 1 ",
					 most_counted, most_counted);
	append_violations(&query, relation, definition);
	appendStringInfo(&query, " LIMIT %d) v) c", most_counted + 1);
	return query.data;
}

char *violations_sample(Oid oid, const Definition &definition)
{
	Relation relation = table_open(oid, AccessShareLock);
	StringInfoData query;
	initStringInfo(&query);
	appendStringInfo(&query, "SELECT DISTINCT k FROM (SELECT %s AS k ",
					 key_text(relation, definition));
	append_violations(&query, oid, definition);
	appendStringInfo(&query, " LIMIT %d) s ORDER BY k", samples);
	table_close(relation, NoLock);
	return query.data;
}

namespace {

// A foreign key is one of partitions too, but not of tables that inherit.
bool goes_down(Relation relation, const Definition &definition)
{
	return !definition.no_inherit && (definition.type != CONSTR_FOREIGN ||
									  relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE);
}

} // namespace

void add_not_valid_step(ddl::Recipe *recipe, Relation relation, const Definition &definition)
{
	Oid oid = RelationGetRelid(relation);
	bool foreign = definition.type == CONSTR_FOREIGN;
	char *sql = psprintf("ALTER TABLE %s ADD CONSTRAINT %s %s NOT VALID", quoted_name(oid),
						 identifier(definition.name), definition.body);
	ddl::RecipeStep *step = ddl::add_step(recipe, "statement", sql);
	if (foreign) {
		ddl::add_lock(step, definition.referenced, Lock::share_row_exclusive);
		ddl::expect_relation(step, definition.referenced);
	}
	ddl::expect_relation(step, oid);
	ddl::add_lock(step, oid, foreign ? Lock::share_row_exclusive : Lock::access_exclusive);
	step->descend = goes_down(relation, definition);
	if (definition.type == CONSTR_CHECK)
		check_children(recipe, oid, definition);
	else if (foreign) // of partitions the server asks for no rights
		ddl::need_owner(recipe, oid);
	else
		ddl::need_owners(recipe, oid);
	step->done = exists_query(oid, definition, false);
	// (a proof is gone where the step that it was for is done)
	step->undo = undo_of_new(relation, definition);
}

namespace {

// A column that is NOT NULL may be so by a constraint of another name (from 18 on).
char *is_valid_query(Oid oid, const Definition &definition)
{
	if (definition.type == CONSTR_NOTNULL)
		return psprintf(
			"SELECT EXISTS (SELECT FROM pg_constraint c JOIN pg_attribute a ON a.attrelid "
			"= c.conrelid AND a.attnum = c.conkey[1] WHERE c.conrelid = %u AND a.attname "
			"= %s AND c.contype = 'n' AND c.convalidated)",
			oid, literal(static_cast<const char *>(linitial(definition.columns))));
	return psprintf("SELECT EXISTS (SELECT FROM pg_constraint WHERE conrelid = %u AND conname = %s "
					"AND convalidated)",
					oid, literal(definition.name));
}

void add_validate_step(ddl::Recipe *recipe, Oid oid, const Definition &definition)
{
	char *name = quoted_name(oid);
	ddl::need_owner(recipe, oid);
	ddl::RecipeStep *step = ddl::add_step(
		recipe, "statement",
		psprintf("ALTER TABLE %s VALIDATE CONSTRAINT %s", name, identifier(definition.name)));
	ddl::add_lock(step, oid, Lock::share_update_exclusive);
	ddl::expect_relation(step, oid);
	step->caller_path = true; // no name in it has to be found
	step->reads_only = true;
	step->done = is_valid_query(oid, definition);
	step->count_query = violations_count(oid, definition);
	step->sample_query = violations_sample(oid, definition);
	step->left =
		psprintf("The constraint stays NOT VALID: it holds for new rows. Mend the rows, then "
				 "call safe_migrate.retry(); or ALTER TABLE %s DROP CONSTRAINT %s.",
				 name, identifier(definition.name));
	step->effect = statement::Effect::scan;
	step->bytes = statement::heap_bytes(oid);
}

// From 18 on NOT NULL that the leaf had of its own keeps its name.
void add_leaf_validate_step(ddl::Recipe *recipe, Oid leaf, const Definition &definition)
{
	Definition own = definition;
	char *name =
		definition.type != CONSTR_NOTNULL
			? nullptr
			: ddl::values_of(psprintf(
				  "SELECT conname FROM pg_constraint JOIN pg_attribute ON attrelid = conrelid AND "
				  "attnum = conkey[1] WHERE conrelid = %u AND contype = 'n' AND attname = %s",
				  leaf, literal(static_cast<const char *>(linitial(definition.columns)))));
	if (name)
		own.name = name;
	add_validate_step(recipe, leaf, own);
}

} // namespace

void add_validate_steps(ddl::Recipe *recipe, Relation relation, const Definition &definition)
{
	Oid oid = RelationGetRelid(relation);
	// a foreign key of a partitioned table can be validated only as a whole before 18, and was
	// added leaf by leaf there; others' leaves are validated with the whole
	ListCell *cell;
	if (definition.type == CONSTR_FOREIGN && goes_down(relation, definition)) {
		foreach (cell, leaves_to_validate(oid, definition)) {
			const auto *leaf = static_cast<const Leaf *>(lfirst(cell));
			Definition own = definition;
			own.name = leaf->key;
			if (own.name && ddl::is_own(leaf->oid)) // else with the whole
				add_validate_step(recipe, leaf->oid, own);
		}
	} else if (goes_down(relation, definition)) {
		foreach (cell, statement::leaves(oid))
			if (lfirst_oid(cell) != oid && ddl::is_own(lfirst_oid(cell)))
				add_leaf_validate_step(recipe, lfirst_oid(cell), definition);
	}
	add_validate_step(recipe, oid, definition);
}

Definition stored_definition(Relation relation, const char *name)
{
	Oid constraint = ddl::find_constraint(relation, name);
	HeapTuple tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	auto form = reinterpret_cast<Form_pg_constraint>(GETSTRUCT(tuple));
	Definition definition = {};
	definition.name = pstrdup(name);
	definition.named = true;
	definition.no_inherit = form->connoinherit;
	definition.referenced = form->confrelid;
	char type = form->contype;
	bool is_key = type == CONSTRAINT_PRIMARY || type == CONSTRAINT_UNIQUE ||
				  type == CONSTRAINT_EXCLUSION || type == CONSTRAINT_TRIGGER;
	ReleaseSysCache(tuple);
	if (is_key)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg_internal(pg::not_validated_message, name,
										RelationGetRelationName(relation))));
	char *stored = ddl::constraint_text(constraint);
	if (type == CONSTRAINT_CHECK || type == CONSTRAINT_FOREIGN) {
		// the text is one of read_definition()'s own kind
		Definition read = read_definition(relation, stored);
		read.name = definition.name;
		read.named = true;
		return read;
	}
	definition.body = stored;
	return definition;
}

} // namespace safe_migrate::operations::constraint
