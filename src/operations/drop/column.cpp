// drop_column_safely().
#include "operations/ddl/restrict.hpp"
#include "operations/ddl/sql.hpp"
#include "operations/drop/steps.hpp"
#include "pg/boundary.hpp"
#include "statement/relations.hpp"

extern "C" {
#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
}

namespace safe_migrate::operations::drop {

using ddl::identifier;
using ddl::literal;
using ddl::quoted_name;
using statement::Lock;

namespace {

// Mirrors ATExecDropColumn().
AttrNumber find_column(Relation relation, const char *column)
{
	const char *name = RelationGetRelationName(relation);
	AttrNumber number = get_attnum(RelationGetRelid(relation), column);
	if (number == InvalidAttrNumber)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
						errmsg("column \"%s\" of relation \"%s\" does not exist", column, name)));
	if (number < 0)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("cannot drop system column \"%s\"", column)));
	if (TupleDescAttr(RelationGetDescr(relation), number - 1)->attinhcount > 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_TABLE_DEFINITION),
						errmsg("cannot drop inherited column \"%s\"", column),
						errhint("Drop it from the table that it is inherited from.")));
	if (OidIsValid(relation->rd_rel->reloftype))
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("cannot drop column from typed table")));
	return number;
}

void refuse_partition_key(Relation relation, const char *column)
{
	AttrNumber number = get_attnum(RelationGetRelid(relation), column);
	bool in_expression = false;
	if (has_partition_attrs(relation,
							bms_make_singleton(number - FirstLowInvalidHeapAttributeNumber),
							&in_expression))
		ereport(ERROR, (errcode(ERRCODE_INVALID_TABLE_DEFINITION),
						errmsg("cannot drop column \"%s\" because it is part of the partition key "
							   "of relation \"%s\"",
							   column, RelationGetRelationName(relation))));
}

// Of the table and of each child that loses the column with it.
void refuse_everywhere(Oid root, const char *column)
{
	ListCell *cell;
	foreach (cell, statement::with_descendants(root)) {
		Oid oid = lfirst_oid(cell);
		statement::Column found = {};
		if (!statement::find_column(oid, column, &found))
			continue;
		if (oid != root && (found.is_local || found.parents > 1))
			continue; // it keeps the column
		Relation relation = table_open(oid, AccessShareLock);
		if (relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
			refuse_partition_key(relation, column);
		table_close(relation, NoLock);
		ddl::refuse_dependents({RelationRelationId, oid, found.number});
	}
}

char *drop_statement(Oid oid, const char *column)
{
	return psprintf("ALTER TABLE %s DROP COLUMN %s", quoted_name(oid), identifier(column));
}

} // namespace

void add_column_steps(ddl::Recipe *recipe, Relation relation, const char *column)
{
	Oid oid = RelationGetRelid(relation);
	AttrNumber number = find_column(relation, column);
	refuse_everywhere(oid, column);
	ObjectAddress object = {RelationRelationId, oid, number};
	ddl::note_dependents(object);
	add_foreign_key_steps(recipe, oid, column, false);
	ddl::RecipeStep *step = ddl::add_step(recipe, "statement", drop_statement(oid, column));
	step->description = ddl::with_dependents(step->sql, object);
	ddl::add_lock(step, oid, Lock::access_exclusive);
	step->descend = true;
	step->done = psprintf("SELECT NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = %u AND "
						  "attnum = %d AND NOT attisdropped)",
						  oid, number);
	step->still = psprintf("SELECT to_regclass(%s) = attrelid AND attname = %s FROM pg_attribute "
						   "WHERE attrelid = %u AND attnum = %d",
						   literal(quoted_name(oid)), literal(column), oid, number);
	note_rows(step, oid);
	step->still_what = psprintf("column %s of %s", identifier(column), quoted_name(oid));
	step->effect = statement::Effect::data_loss;
	step->bytes = statement::heap_bytes(oid);
}

namespace {

jobs::JobId drop_column(Oid oid, const char *column, const Options &options)
{
	char *sql = drop_statement(oid, column);
	auto plan = [&](ddl::Recipe *recipe, Relation relation) {
		recipe->judged = sql;
		add_column_steps(recipe, relation, column);
		recipe->plain = list_make1(sql);
	};
	return ddl::carry_out_on_table("drop_column", oid, sql, options, plan);
}

} // namespace

} // namespace safe_migrate::operations::drop

SAFE_MIGRATE_FUNCTION(safe_migrate_drop_column_safely)
{
	using namespace safe_migrate::operations;
	begin_call(fcinfo, "drop_column_safely()", {"relation", "column_name"});
	PG_RETURN_INT64(
		drop::drop_column(PG_GETARG_OID(0), NameStr(*PG_GETARG_NAME(1)), read_options(fcinfo, 2)));
}
