// UNIQUE and PRIMARY KEY: an index built concurrently, columns that are known to hold no NULL, and
// then both become the constraint in a moment.
#include "operations/constraint/add.hpp"

#include "operations/constraint/not_null.hpp"
#include "operations/constraint/undo.hpp"
#include "operations/ddl/parse_analysis.hpp"
#include "operations/ddl/sql.hpp"
#include "operations/index/steps.hpp"
#include "pg/compat_analysis.hpp"
#include "statement/index_match.hpp"
#include "statement/relations.hpp"

extern "C" {
#include "access/relation.h"
#include "access/table.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
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
	ddl::need_owner(recipe, oid);
	ddl::add_lock(step, oid, Lock::access_exclusive);
	ddl::expect_relation(step, oid);
	step->done = is_constraint_query(oid, name);
	step->undo =
		psprintf("ALTER TABLE %s DROP CONSTRAINT IF EXISTS %s", quoted_name(oid), identifier(name));
}

// A primary key can't be on columns that may hold NULL: without the proof it would scan.
void add_proofs(ddl::Recipe *recipe, Relation relation, List *columns)
{
	ListCell *cell;
	foreach (cell, columns) {
		const char *column = static_cast<const char *>(lfirst(cell));
		const int first = list_length(recipe->steps);
		add_not_null_steps(recipe, relation, column, nullptr);
		const bool added = first < list_length(recipe->steps);
		if (!added || !pg::not_null_can_be_not_valid)
			continue;
		auto *step = static_cast<ddl::RecipeStep *>(list_nth(recipe->steps, first));
		const char *more = undo_in_partitions(RelationGetRelid(relation), column);
		if (relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE && step->undo && more[0])
			step->undo = psprintf("%s;\n%s", step->undo, more);
	}
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

// A constraint that the parent's takes as its own, with all below it: its index.
Oid find_own(Oid partition, const index::Definition &key, const Definition &definition)
{
	Relation relation = table_open(partition, AccessShareLock);
	statement::IndexShape shape = statement::shape_of_statement(relation, key.parsed, "");
	shape.is_constraint = true;
	shape.constraint_kind =
		definition.type == CONSTR_PRIMARY ? CONSTRAINT_PRIMARY : CONSTRAINT_UNIQUE;
	Oid index = statement::find_matching_index(partition, shape, false);
	table_close(relation, NoLock);
	return index;
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

// ADD CONSTRAINT of a partitioned table, once each partition has its own: nothing is left to build.
void add_whole_step(ddl::Recipe *recipe, Oid oid, const Definition &definition, const char *name)
{
	ddl::RecipeStep *step =
		ddl::add_step(recipe, "statement",
					  psprintf("ALTER TABLE %s ADD CONSTRAINT %s %s%s", quoted_name(oid),
							   identifier(name), definition.body, definition.storage));
	ddl::need_owner(recipe, oid);
	ddl::add_lock(step, oid, Lock::access_exclusive);
	ddl::expect_relation(step, oid);
	step->descend = true;
	step->done = is_constraint_query(oid, name);
	step->undo =
		psprintf("ALTER TABLE %s DROP CONSTRAINT IF EXISTS %s", quoted_name(oid), identifier(name));
}

const char *index_name(Oid table, const char *name)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(table)), name);
}

// What all levels are told.
struct Tree {
	ddl::Recipe *recipe;
	const Definition *definition;
	int first;	 // its first step
	List *taken; // names of indexes (index::taken_name())
	bool takes;	 // partitions have it already
};

void add_below(Tree *tree, Oid table, Oid frame);

// The partition gets its own constraint: its name.
char *add_own(Tree *tree, Oid partition, bool as_frame)
{
	const Definition &definition = *tree->definition;
	const char *label = definition.type == CONSTR_PRIMARY ? "pkey" : "key";
	Relation relation = table_open(partition, AccessShareLock);
	if (definition.type == CONSTR_PRIMARY)
		refuse_second_primary_key(relation);
	index::Definition key = key_index(relation, definition);
	char *name = index::choose_partition_name(relation, key, label, tree->taken);
	if (relation->rd_rel->relkind == RELKIND_RELATION) {
		tree->taken = lappend(tree->taken, index::taken_name(partition, name));
		index::add_create_steps(tree->recipe, key, name, label);
		add_using_index_step(tree->recipe, partition, definition, name, name);
	} else {
		add_below(tree, partition, InvalidOid);
		if (as_frame) {
			tree->taken = lappend(tree->taken, index::taken_name(partition, name));
			add_whole_step(tree->recipe, partition, definition, name);
		}
	}
	table_close(relation, NoLock);
	return name;
}

// A partition has its constraint already, as a whole or (made ONLY, and invalid) without some of
// its partitions, or gets it.  frame: the index of its parent that is there and lacks it.
void add_partition(Tree *tree, Oid partition, Oid frame)
{
	Relation relation = table_open(partition, AccessShareLock);
	index::Definition key = key_index(relation, *tree->definition);
	table_close(relation, NoLock);
	Oid own = index::part_of_index(partition, frame);
	bool attached = OidIsValid(own);
	if (!attached)
		own = find_own(partition, key, *tree->definition);
	const char *name = OidIsValid(own) ? get_rel_name(own) : nullptr;
	if (!OidIsValid(own))
		name = add_own(tree, partition, OidIsValid(frame));
	else if (!index::is_valid_index(own))
		add_below(tree, partition, own);
	tree->takes = tree->takes || OidIsValid(own);
	if (OidIsValid(frame) && !attached) {
		index::add_attach_step(tree->recipe, quoted_name(frame), index_name(partition, name),
							   IndexGetRelation(frame, false));
		ddl::end_undo(tree->recipe, tree->first);
	}
}

void add_below(Tree *tree, Oid table, Oid frame)
{
	ListCell *cell;
	foreach (cell, find_inheritance_children(table, NoLock))
		add_partition(tree, lfirst_oid(cell), frame);
}

// The server takes over no index for a partitioned table's constraint.  With one on each partition
// there is nothing left to build.  first: the recipe's first step.
void add_partitioned_steps(ddl::Recipe *recipe, Relation relation, const Definition &definition,
						   int first)
{
	check_name(relation, definition, key_index(relation, definition));
	Tree tree = {recipe, &definition, first, NIL, false};
	Oid oid = RelationGetRelid(relation);
	add_below(&tree, oid, InvalidOid);
	add_whole_step(recipe, oid, definition, definition.name);
	if (tree.takes || ddl::holds(is_constraint_query(oid, definition.name)))
		ddl::end_undo(recipe, first);
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
	int first = list_length(recipe->steps);
	check_by_parse_analysis(relation, definition);
	if (definition.type == CONSTR_PRIMARY) {
		refuse_second_primary_key(relation);
		add_proofs(recipe, relation,
				   existing ? index_columns(relation, existing) : definition.columns);
		// before 18 its columns are looked at in children
		if (relation->rd_rel->relkind == RELKIND_RELATION && !pg::not_null_can_be_not_valid)
			ddl::need_owners(recipe, RelationGetRelid(relation));
	}
	if (!existing && relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE) {
		add_partitioned_steps(recipe, relation, definition, first);
		return;
	}
	bool is_new = false;
	if (!existing) {
		index::Definition key = key_index(relation, definition);
		check_name(relation, definition, key);
		index::add_create_steps(recipe, key, definition.name, "key");
		is_new = static_cast<const ddl::RecipeStep *>(llast(recipe->steps))->undo;
	}
	add_using_index_step(recipe, RelationGetRelid(relation), definition, definition.name,
						 existing ? existing : definition.name);
	if (!is_new)
		ddl::end_undo(recipe, first);
}

} // namespace safe_migrate::operations::constraint
