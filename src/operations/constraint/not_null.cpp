// add_not_null_safely(): a constraint that is not validated keeps new NULLs out, the old ones are
// filled, the constraint is validated without a strong lock, and SET NOT NULL then finds it proven.
#include "operations/constraint/not_null.hpp"

#include "operations/backfill/fill.hpp"
#include "operations/constraint/steps.hpp"
#include "operations/constraint/undo.hpp"
#include "operations/ddl/sql.hpp"
#include "operations/ddl/target.hpp"
#include "pg/arguments.hpp"
#include "pg/boundary.hpp"
#include "pg/compat_analysis.hpp"
#include "statement/relations.hpp"

extern "C" {
#include "access/table.h"
#include "catalog/pg_constraint.h"
#include "commands/tablecmds.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
}

namespace safe_migrate::operations::constraint {

using ddl::identifier;
using ddl::literal;
using ddl::quoted_name;
using statement::Lock;

bool is_not_null(Relation relation, AttrNumber column)
{
	return pg::is_not_null(RelationGetDescr(relation), column);
}

bool is_proven_not_null(Relation relation, AttrNumber column)
{
	if (is_not_null(relation, column))
		return true;
	const Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(relation), column - 1);
	NullTest *test = makeNode(NullTest);
	test->arg = reinterpret_cast<Expr *>(
		makeVar(1, column, attribute->atttypid, attribute->atttypmod, attribute->attcollation, 0));
	test->nulltesttype = IS_NOT_NULL;
	test->argisrow = false;
	test->location = -1;
	return PartConstraintImpliedByRelConstraint(relation, list_make1(test));
}

namespace {

// On every table that the command goes down to.
bool is_proven_everywhere(Relation relation, const char *column)
{
	bool proven = true;
	ListCell *cell;
	foreach (cell, statement::with_descendants(RelationGetRelid(relation))) {
		Relation one = table_open(lfirst_oid(cell), AccessShareLock);
		proven = proven && is_proven_not_null(one, get_attnum(lfirst_oid(cell), column));
		table_close(one, NoLock);
	}
	return proven;
}

// The constraint that keeps NULLs out meanwhile: from 18 on the very one that stays.
Definition interim(Relation relation, const char *column)
{
	Definition definition = {};
	definition.type = pg::not_null_can_be_not_valid ? CONSTR_NOTNULL : CONSTR_CHECK;
	definition.name = ChooseConstraintName(RelationGetRelationName(relation), column, "not_null",
										   RelationGetNamespace(relation), NIL);
	if (pg::not_null_can_be_not_valid)
		definition.body = psprintf("NOT NULL %s", quote_identifier(column));
	else {
		definition.expression =
			psprintf("(%s)", ddl::null_test_of(RelationGetRelid(relation), column, false));
		definition.body = psprintf("CHECK (%s)", definition.expression);
	}
	definition.columns = list_make1(pstrdup(column));
	return definition;
}

char *set_not_null(Oid oid, const char *column)
{
	return psprintf("ALTER TABLE %s ALTER COLUMN %s SET NOT NULL", quoted_name(oid),
					quote_identifier(column));
}

// Finds the proof and scans nothing; what proved it goes in the same transaction.
void add_final_step(ddl::Recipe *recipe, Oid oid, const char *column, const Definition *proof)
{
	char *sql = set_not_null(oid, column);
	if (proof)
		sql = psprintf("%s; ALTER TABLE %s DROP CONSTRAINT %s", sql, quoted_name(oid),
					   identifier(proof->name));
	ddl::RecipeStep *step = ddl::add_step(recipe, "statement", sql);
	ddl::add_lock(step, oid, Lock::access_exclusive);
	ddl::expect_relation(step, oid);
	step->descend = true;
	ddl::need_owners(recipe, oid);
	step->done =
		psprintf("SELECT attnotnull%s FROM pg_attribute WHERE attrelid = %u AND attname = %s",
				 proof ? psprintf(" AND NOT EXISTS (SELECT FROM pg_constraint WHERE "
								  "conrelid = attrelid AND conname = %s AND contype = 'c')",
								  literal(proof->name))
					   : "",
				 oid, literal(column));
	step->undo = undo_of_not_null(oid, column);
	step->like = set_not_null(oid, column); // others may have made partitions NOT NULL meanwhile
}

// Nothing is left of the try where there are NULLs: the error has their number and some keys.
void clean_up_where_null(ddl::Recipe *recipe, int first, int steps_before, Oid oid,
						 const char *column, const Definition &proof)
{
	ListCell *cell;
	for_each_from(cell, recipe->steps, first)
	{
		auto *step = static_cast<ddl::RecipeStep *>(lfirst(cell));
		step->left = nullptr;
		step->violation = psprintf("column \"%s\" of relation \"%s\" contains null values", column,
								   get_rel_name(oid));
		step->redo = foreach_current_index(cell) - first + steps_before;
		step->cleanup =
			psprintf("ALTER TABLE %s DROP CONSTRAINT %s", quoted_name(oid), identifier(proof.name));
		step->cleanup_when = exists_query(oid, proof, false);
	}
}

// From 18 on a NOT NULL may be there that is not valid.
char *is_not_null_query(Oid oid, const char *column)
{
	return psprintf("SELECT %s FROM pg_attribute WHERE attrelid = %u AND attname = %s",
					pg::not_null_can_be_not_valid
						? "EXISTS (SELECT FROM pg_constraint WHERE conrelid = attrelid AND "
						  "contype = 'n' AND conkey = ARRAY[attnum] AND convalidated)"
						: "attnotnull",
					oid, literal(column));
}

} // namespace

void add_not_null_steps(ddl::Recipe *recipe, Relation relation, const char *column,
						const char *fill)
{
	Oid oid = RelationGetRelid(relation);
	if (is_not_null(relation, get_attnum(oid, column)))
		return;
	if (is_proven_everywhere(relation, column)) {
		add_final_step(recipe, oid, column, nullptr);
		return;
	}
	Definition proof = interim(relation, column);
	int own = list_length(recipe->steps);
	// Before the constraint is there: a client that changes another column of a row would fail by
	// it as long as the row has its NULL.  After it: what was written meanwhile.
	if (fill)
		backfill::add_fill_step(recipe, oid, column, fill);
	add_not_valid_step(recipe, relation, proof);
	if (fill)
		backfill::add_fill_step(recipe, oid, column, fill);
	int first = list_length(recipe->steps);
	add_validate_steps(recipe, relation, proof);
	clean_up_where_null(recipe, first, fill ? 2 : 1, oid, column, proof);
	ddl::end_where(recipe, own, is_not_null_query(oid, column));
	if (!pg::not_null_can_be_not_valid)
		add_final_step(recipe, oid, column, &proof);
}

namespace {

char *call_text(Oid oid, const char *column, const char *fill)
{
	return fill ? psprintf("%s, NULLs filled with %s", set_not_null(oid, column), fill)
				: set_not_null(oid, column);
}

jobs::JobId add_not_null(Oid oid, const char *column, const char *fill, const Options &options)
{
	Relation relation = ddl::open_owned_table(oid);
	AttrNumber number = get_attnum(oid, column);
	if (number == InvalidAttrNumber)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
						errmsg("column \"%s\" of relation \"%s\" does not exist", column,
							   RelationGetRelationName(relation))));
	if (number < 0)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("cannot alter system column \"%s\"", column)));
	ddl::Recipe recipe = ddl::new_recipe("add_not_null", oid, call_text(oid, column, fill));
	jobs::JobId id = ddl::find_earlier(recipe, options);
	if (id == 0) {
		if (is_not_null(relation, number))
			ereport(NOTICE, (errmsg("column \"%s\" of relation \"%s\" is NOT NULL already", column,
									RelationGetRelationName(relation))));
		add_not_null_steps(&recipe, relation, column, fill);
		if (fill)
			recipe.plain = list_make1(backfill::fill_statement(oid, column, fill));
		recipe.plain = lappend(recipe.plain, set_not_null(oid, column));
	}
	table_close(relation, NoLock);
	return id != 0 ? id : ddl::carry_out(recipe, options);
}

} // namespace

} // namespace safe_migrate::operations::constraint

SAFE_MIGRATE_OPERATION(safe_migrate_add_not_null_safely)
{
	using namespace safe_migrate::operations;
	begin_call(fcinfo, "add_not_null_safely()", {"relation", "column_name"});
	const char *fill = safe_migrate::pg::text_argument(fcinfo, 2);
	PG_RETURN_INT64(constraint::add_not_null(PG_GETARG_OID(0), NameStr(*PG_GETARG_NAME(1)), fill,
											 read_options(fcinfo, 3)));
}
