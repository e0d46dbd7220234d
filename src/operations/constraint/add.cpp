// add_constraint_safely(), validate_constraint_safely().
#include "operations/constraint/add.hpp"

#include "operations/constraint/parts.hpp"
#include "operations/constraint/steps.hpp"
#include "operations/constraint/undo.hpp"
#include "operations/ddl/sql.hpp"
#include "operations/ddl/target.hpp"
#include "pg/boundary.hpp"
#include "pg/compat_alter.hpp"
#include "pg/compat_analysis.hpp"
#include "statement/constraint_rows.hpp"
#include "statement/relations.hpp"

extern "C" {
#include "access/relation.h"
#include "access/table.h"
#include "catalog/pg_constraint.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
}

namespace safe_migrate::operations::constraint {

using ddl::identifier;
using ddl::literal;
using ddl::quoted_name;

namespace {

// Does an index of the table begin with these columns, in any order?
bool is_supported_by_index(Relation relation, const List *columns)
{
	bool found = false;
	ListCell *cell;
	foreach (cell, RelationGetIndexList(relation)) {
		Relation index = relation_open(lfirst_oid(cell), AccessShareLock);
		const Form_pg_index form = index->rd_index;
		int n = list_length(columns);
		bool fits =
			form->indisvalid && form->indnkeyatts >= n && RelationGetIndexPredicate(index) == NIL;
		for (int i = 0; fits && i < n; i++) {
			const char *name =
				get_attname(RelationGetRelid(relation), form->indkey.values[i], true);
			bool among = false;
			ListCell *column;
			foreach (column, columns)
				among =
					among || (name && strcmp(name, static_cast<const char *>(lfirst(column))) == 0);
			fits = among;
		}
		relation_close(index, AccessShareLock);
		found = found || fits;
	}
	return found;
}

void note_missing_index(Relation relation, const Definition &definition)
{
	if (is_supported_by_index(relation, definition.columns))
		return;
	ereport(NOTICE,
			(errmsg("no index of \"%s\" begins with the columns of the foreign key",
					RelationGetRelationName(relation)),
			 errdetail("Each DELETE and UPDATE of a key in %s will scan %s.",
					   quoted_name(definition.referenced), quoted_name(RelationGetRelid(relation))),
			 errhint("SELECT safe_migrate.create_index_safely(%s);",
					 literal(psprintf("CREATE INDEX ON %s (%s)",
									  quoted_name(RelationGetRelid(relation)),
									  column_list(definition.columns))))));
}

// Before 18 the key is added and validated on each leaf that has none; adding it to the parent then
// finds them and scans nothing.
void add_partitioned_key(ddl::Recipe *recipe, Relation relation, const Definition &definition)
{
	int first = list_length(recipe->steps);
	Oid oid = RelationGetRelid(relation);
	ListCell *cell;
	foreach (cell, leaves_without_key(oid, definition)) {
		const auto *leaf = static_cast<const Leaf *>(lfirst(cell));
		Relation table = table_open(leaf->oid, AccessShareLock);
		Definition own = definition;
		own.name = leaf->key;
		add_not_valid_step(recipe, table, own);
		add_validate_steps(recipe, table, own);
		table_close(table, NoLock);
	}
	ddl::RecipeStep *step =
		ddl::add_step(recipe, "statement",
					  psprintf("ALTER TABLE %s ADD CONSTRAINT %s %s", quoted_name(oid),
							   identifier(definition.name), definition.body));
	ddl::add_lock(step, definition.referenced, statement::Lock::share_row_exclusive);
	ddl::add_lock(step, oid, statement::Lock::share_row_exclusive);
	ddl::expect_relation(step, definition.referenced);
	ddl::expect_relation(step, oid);
	step->descend = true;
	step->done = exists_query(oid, definition, true);
	step->undo = undo_of_new(relation, definition);
	if (!step->undo) // what leaves had is part of it
		ddl::end_undo(recipe, first);
}

void refuse_exclude(Relation relation)
{
	if (relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE && !pg::partitioned_has_exclusion)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("exclusion constraints are not supported on partitioned tables")));
	ereport(
		ERROR,
		(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
		 errmsg("an exclusion constraint can't be added without blocking \"%s\"",
				RelationGetRelationName(relation)),
		 errdetail("The server can build its index neither concurrently nor take over one that "
				   "is there."),
		 errhint("Create a new table with the constraint, copy the rows into it in batches, and "
				 "swap the names.")));
}

// Another constraint has the name; a key's is that of its index, which is looked at there.
void check_name(Relation relation, const Definition &definition, bool may_be_there)
{
	Oid oid = RelationGetRelid(relation);
	if (definition.type == CONSTR_UNIQUE || definition.type == CONSTR_PRIMARY || !definition.name ||
		!ConstraintNameIsUsed(CONSTRAINT_RELATION, oid, definition.name))
		return;
	const statement::ConstraintRow *there = statement::find_constraint(oid, definition.name);
	bool is_inherited = there && !there->is_local; // MergeWithExistingConstraint() makes it its own
	if ((may_be_there || is_inherited) && definition.body &&
		ddl::holds(exists_query(oid, definition, false)))
		return;
	ereport(ERROR, (errcode(ERRCODE_DUPLICATE_OBJECT),
					errmsg("constraint \"%s\" for relation \"%s\" already exists", definition.name,
						   RelationGetRelationName(relation))));
}

// Foreign tables can have no foreign key.
void check_partitions(Relation relation, const Definition &definition)
{
	if (relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
		(void)leaves_without_key(RelationGetRelid(relation), definition);
}

} // namespace

void add_constraint_steps(ddl::Recipe *recipe, Relation relation, const Definition &definition)
{
	bool partitioned = relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE;
	check_name(relation, definition, true);
	switch (definition.type) {
		case CONSTR_CHECK:
		case CONSTR_NOTNULL:
			add_not_valid_step(recipe, relation, definition);
			break;
		case CONSTR_FOREIGN:
			check_referenced(relation, definition);
			check_partitions(relation, definition);
			note_missing_index(relation, definition);
			if (partitioned && !pg::partitioned_keys_can_be_not_valid) {
				add_partitioned_key(recipe, relation, definition);
				return;
			}
			add_not_valid_step(recipe, relation, definition);
			break;
		case CONSTR_UNIQUE:
		case CONSTR_PRIMARY:
			add_key_steps(recipe, relation, definition);
			return;
		case CONSTR_EXCLUSION:
			refuse_exclude(relation);
			break;
		default:
			ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
							errmsg("this kind of constraint can't be added by a job")));
	}
	if (!definition.parsed->skip_validation)
		add_validate_steps(recipe, relation, definition);
}

void check_definition(Relation relation, const Definition &definition)
{
	check_name(relation, definition, false);
	if (definition.type == CONSTR_FOREIGN) {
		check_referenced(relation, definition);
		check_partitions(relation, definition);
	} else if (definition.type == CONSTR_UNIQUE || definition.type == CONSTR_PRIMARY)
		check_key(relation, definition);
}

namespace {

char *plain_statement(Oid oid, const Definition &definition)
{
	if (!definition.body) // a key of an index that is there
		return psprintf("ALTER TABLE %s ADD CONSTRAINT %s %s USING INDEX %s", quoted_name(oid),
						identifier(definition.name),
						definition.type == CONSTR_PRIMARY ? "PRIMARY KEY" : "UNIQUE",
						identifier(definition.parsed->indexname));
	return psprintf("ALTER TABLE %s ADD CONSTRAINT %s %s%s%s", quoted_name(oid),
					identifier(definition.name), definition.body,
					definition.storage ? definition.storage : "",
					definition.parsed->skip_validation ? " NOT VALID" : "");
}

jobs::JobId add_constraint(Oid oid, const char *text, const Options &options)
{
	Relation relation = ddl::open_owned_table(oid);
	Definition definition = read_definition(relation, text);
	ddl::Recipe recipe = ddl::new_recipe(
		"add_constraint", oid,
		psprintf("ALTER TABLE %s ADD %s%s", quoted_name(oid),
				 definition.named ? psprintf("CONSTRAINT %s ", identifier(definition.name)) : "",
				 definition.body ? definition.body : text));
	jobs::JobId id = ddl::find_earlier(recipe, options);
	if (id == 0) {
		add_constraint_steps(&recipe, relation, definition);
		recipe.plain = list_make1(plain_statement(oid, definition));
	}
	table_close(relation, NoLock); // the plain statement must not find it in use
	return id != 0 ? id : ddl::carry_out(recipe, options);
}

jobs::JobId validate_constraint(Oid oid, const char *name, const Options &options)
{
	Relation relation = ddl::open_owned_table(oid);
	Definition definition = stored_definition(relation, name);
	char *sql =
		psprintf("ALTER TABLE %s VALIDATE CONSTRAINT %s", quoted_name(oid), identifier(name));
	ddl::Recipe recipe = ddl::new_recipe("validate_constraint", oid, sql);
	jobs::JobId id = ddl::find_earlier(recipe, options);
	if (id == 0) {
		add_validate_steps(&recipe, relation, definition);
		recipe.plain = list_make1(sql);
	}
	table_close(relation, NoLock); // the plain statement must not find it in use
	return id != 0 ? id : ddl::carry_out(recipe, options);
}

} // namespace

} // namespace safe_migrate::operations::constraint

SAFE_MIGRATE_OPERATION(safe_migrate_add_constraint_safely)
{
	using namespace safe_migrate::operations;
	begin_call(fcinfo, "add_constraint_safely()", {"relation", "definition"});
	PG_RETURN_INT64(constraint::add_constraint(
		PG_GETARG_OID(0), text_to_cstring(PG_GETARG_TEXT_PP(1)), read_options(fcinfo, 2)));
}

SAFE_MIGRATE_OPERATION(safe_migrate_validate_constraint_safely)
{
	using namespace safe_migrate::operations;
	begin_call(fcinfo, "validate_constraint_safely()", {"relation", "constraint_name"});
	PG_RETURN_INT64(constraint::validate_constraint(PG_GETARG_OID(0), NameStr(*PG_GETARG_NAME(1)),
													read_options(fcinfo, 2)));
}
