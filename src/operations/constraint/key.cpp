// UNIQUE and PRIMARY KEY: an index built concurrently, columns that are known to hold no NULL, and
// then both become the constraint in a moment.
#include "operations/constraint/add.hpp"

#include "operations/constraint/not_null.hpp"
#include "operations/ddl/parse_analysis.hpp"
#include "operations/ddl/sql.hpp"
#include "operations/index/steps.hpp"
#include "statement/index_match.hpp"
#include "statement/relations.hpp"

extern "C" {
#include "access/relation.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_constraint.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
}

namespace safe_migrate::operations::constraint {

using ddl::identifier;
using ddl::literal;
using ddl::quoted_name;
using statement::Lock;

namespace {

const char *kind_of(const Definition &definition)
{
	return definition.type == CONSTR_PRIMARY ? "PRIMARY KEY" : "UNIQUE";
}

char *deferrable_of(const Definition &definition)
{
	return psprintf("%s%s", definition.parsed->deferrable ? " DEFERRABLE" : "",
					definition.parsed->initdeferred ? " INITIALLY DEFERRED" : "");
}

// The index that will be the constraint's.
index::Definition key_index(Relation relation, const Definition &definition)
{
	const Constraint *parsed = definition.parsed;
	StringInfoData text;
	initStringInfo(&text);
	appendStringInfo(&text, "CREATE UNIQUE INDEX ON %s (%s)",
					 quoted_name(RelationGetRelid(relation)), column_list(definition.columns));
	if (parsed->including != NIL) {
		appendStringInfoString(&text, " INCLUDE (");
		ListCell *cell;
		foreach (cell, parsed->including)
			appendStringInfo(&text, "%s%s", cell == list_head(parsed->including) ? "" : ", ",
							 quote_identifier(strVal(lfirst(cell))));
		appendStringInfoChar(&text, ')');
	}
	if (parsed->nulls_not_distinct)
		appendStringInfoString(&text, " NULLS NOT DISTINCT");
	if (parsed->options != NIL)
		appendStringInfo(&text, " WITH (%s)", index::options_text(parsed->options));
	if (parsed->indexspace)
		appendStringInfo(&text, " TABLESPACE %s", quote_identifier(parsed->indexspace));
	return index::own_definition(relation, text.data);
}

char *is_constraint_query(Oid oid, const char *name)
{
	return psprintf("SELECT EXISTS (SELECT FROM pg_constraint WHERE conrelid = %u AND conname = %s "
					"AND contype IN ('u', 'p'))",
					oid, literal(name));
}

void add_using_index_step(ddl::Recipe *recipe, Oid oid, const Definition &definition,
						  const char *name, const char *index)
{
	ddl::RecipeStep *step =
		ddl::add_step(recipe, "statement",
					  psprintf("ALTER TABLE %s ADD CONSTRAINT %s %s USING INDEX %s%s",
							   quoted_name(oid), identifier(name), kind_of(definition),
							   quote_identifier(index), deferrable_of(definition)));
	ddl::add_lock(step, oid, Lock::access_exclusive);
	ddl::expect_relation(step, oid);
	step->done = is_constraint_query(oid, name);
	if (!definition.parsed->indexname) // else the user's own index would go, too
		step->undo = psprintf("ALTER TABLE %s DROP CONSTRAINT IF EXISTS %s", quoted_name(oid),
							  identifier(name));
}

// A primary key can't be on columns that may hold NULL: without the proof it would scan.
void add_proofs(ddl::Recipe *recipe, Relation relation, List *columns)
{
	ListCell *cell;
	foreach (cell, columns)
		add_not_null_steps(recipe, relation, static_cast<const char *>(lfirst(cell)), nullptr);
}

// As relationHasPrimaryKey(): a deferrable one counts as well.
bool has_primary_key(Relation relation)
{
	ListCell *cell;
	foreach (cell, RelationGetIndexList(relation)) {
		Relation index = relation_open(lfirst_oid(cell), AccessShareLock);
		bool primary = index->rd_index->indisprimary;
		relation_close(index, NoLock);
		if (primary)
			return true;
	}
	return false;
}

} // namespace

// As index_check_primary_key().
void refuse_second_primary_key(Relation relation)
{
	if (has_primary_key(relation))
		ereport(ERROR, (errcode(ERRCODE_INVALID_TABLE_DEFINITION),
						errmsg("multiple primary keys for table \"%s\" are not allowed",
							   RelationGetRelationName(relation))));
}

namespace {

// Has the leaf a constraint already that the parent's takes as its own?
bool has_own(Relation leaf, const Definition &definition, const index::Definition &key)
{
	statement::IndexShape shape = statement::shape_of_statement(leaf, key.parsed, "");
	shape.is_constraint = true;
	shape.constraint_kind =
		definition.type == CONSTR_PRIMARY ? CONSTRAINT_PRIMARY : CONSTRAINT_UNIQUE;
	return statement::has_matching_index(RelationGetRelid(leaf), shape, true);
}

// Something else has the name.  An index like the one that is to be built is taken over; of a
// partitioned table only the constraint itself can be there.
void check_name(Relation relation, const Definition &definition, const index::Definition &key)
{
	Oid oid = RelationGetRelid(relation);
	if (relation->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		index::check_name(key, definition.name);
	else if (OidIsValid(get_relname_relid(definition.name, RelationGetNamespace(relation))) &&
			 !ddl::holds(is_constraint_query(oid, definition.name)))
		ereport(ERROR, (errcode(ERRCODE_DUPLICATE_TABLE),
						errmsg("relation \"%s\" already exists", definition.name)));
}

// The server takes over no index for a partitioned table's constraint.  With one on each leaf there
// is nothing left to build.
void add_partitioned_steps(ddl::Recipe *recipe, Relation relation, const Definition &definition)
{
	check_name(relation, definition, key_index(relation, definition));
	const char *label = definition.type == CONSTR_PRIMARY ? "pkey" : "key";
	List *taken = NIL;
	ListCell *cell;
	foreach (cell, statement::leaves(RelationGetRelid(relation))) {
		Relation leaf = table_open(lfirst_oid(cell), AccessShareLock);
		index::Definition key = key_index(leaf, definition);
		if (has_own(leaf, definition, key)) {
			table_close(leaf, NoLock);
			continue;
		}
		if (definition.type == CONSTR_PRIMARY)
			refuse_second_primary_key(leaf);
		char *name = index::choose_name(leaf, key.column_names, label, taken);
		taken = lappend(taken, name);
		index::add_create_steps(recipe, key, name, label);
		add_using_index_step(recipe, RelationGetRelid(leaf), definition, name, name);
		table_close(leaf, NoLock);
	}
	Oid oid = RelationGetRelid(relation);
	ddl::RecipeStep *step =
		ddl::add_step(recipe, "statement",
					  psprintf("ALTER TABLE %s ADD CONSTRAINT %s %s%s", quoted_name(oid),
							   identifier(definition.name), definition.body, definition.storage));
	ddl::add_lock(step, oid, Lock::access_exclusive);
	ddl::expect_relation(step, oid);
	step->descend = true;
	step->done = is_constraint_query(oid, definition.name);
	step->undo = psprintf("ALTER TABLE %s DROP CONSTRAINT IF EXISTS %s", quoted_name(oid),
						  identifier(definition.name));
}

// The columns of an index that is there.
List *index_columns(Relation relation, const char *name)
{
	Oid oid = get_relname_relid(name, RelationGetNamespace(relation));
	if (!OidIsValid(oid) || get_rel_relkind(oid) != RELKIND_INDEX)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("index \"%s\" does not exist", name)));
	Relation index = relation_open(oid, AccessShareLock);
	List *columns = NIL;
	for (int i = 0; i < index->rd_index->indnkeyatts; i++)
		if (index->rd_index->indkey.values[i] > 0)
			columns = lappend(columns, get_attname(RelationGetRelid(relation),
												   index->rd_index->indkey.values[i], false));
	relation_close(index, NoLock);
	return columns;
}

} // namespace

namespace {

// A column twice, an index that can't become a key.  Not before a job of the same call was looked
// for: once that has run, the index is the constraint's.
void check_by_parse_analysis(Relation relation, const Definition &definition)
{
	AlterTableCmd *command = makeNode(AlterTableCmd);
	command->subtype = AT_AddConstraint;
	command->def =
		static_cast<Node *>(copyObjectImpl(static_cast<const void *>(definition.parsed)));
	ddl::check_by_parse_analysis(relation, command, nullptr);
}

} // namespace

void check_key(Relation relation, const Definition &definition)
{
	check_by_parse_analysis(relation, definition);
	if (definition.type == CONSTR_PRIMARY)
		refuse_second_primary_key(relation);
	if (!definition.parsed->indexname)
		check_name(relation, definition, key_index(relation, definition));
}

void add_key_steps(ddl::Recipe *recipe, Relation relation, const Definition &definition)
{
	const char *existing = definition.parsed->indexname;
	check_by_parse_analysis(relation, definition);
	if (definition.type == CONSTR_PRIMARY) {
		refuse_second_primary_key(relation);
		add_proofs(recipe, relation,
				   existing ? index_columns(relation, existing) : definition.columns);
	}
	if (!existing && relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE) {
		add_partitioned_steps(recipe, relation, definition);
		return;
	}
	if (!existing) {
		index::Definition key = key_index(relation, definition);
		check_name(relation, definition, key);
		index::add_create_steps(recipe, key, definition.name, "key");
	}
	add_using_index_step(recipe, RelationGetRelid(relation), definition, definition.name,
						 existing ? existing : definition.name);
}

} // namespace safe_migrate::operations::constraint
