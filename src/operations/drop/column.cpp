// drop_column_safely().
#include "operations/ddl/restrict.hpp"
#include "operations/ddl/sql.hpp"
#include "operations/drop/losers.hpp"
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

List *losers_of_column(Oid table, const char *column)
{
	return find_losers(table, [&](Oid child) {
		statement::Column found = {};
		return statement::find_column(child, column, &found) && !found.is_local ? found.parents : 0;
	});
}

void refuse_everywhere(const List *losers, const char *column)
{
	ListCell *cell;
	foreach (cell, losers) {
		Oid oid = lfirst_oid(cell);
		Relation relation = table_open(oid, AccessShareLock);
		if (relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
			refuse_partition_key(relation, column);
		table_close(relation, NoLock);
		ddl::refuse_dependents({RelationRelationId, oid, get_attnum(oid, column)});
	}
}

char *drop_statement(Oid oid, const char *column)
{
	return psprintf("ALTER TABLE %s DROP COLUMN %s", quoted_name(oid), identifier(column));
}

} // namespace

void need_owners_of_column(ddl::Recipe *recipe, Oid table, const char *column)
{
	recipe->owned = list_concat_unique_oid(recipe->owned, losers_of_column(table, column));
}

void add_column_steps(ddl::Recipe *recipe, Relation relation, const char *column)
{
	Oid oid = RelationGetRelid(relation);
	AttrNumber number = find_column(relation, column);
	List *losers = losers_of_column(oid, column);
	refuse_everywhere(losers, column);
	recipe->owned = list_concat_unique_oid(recipe->owned, losers);
	ObjectAddress object = {RelationRelationId, oid, number};
	ddl::note_dependents(object);
	int first = list_length(recipe->steps);
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
	ddl::end_undo(recipe, first);
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

SAFE_MIGRATE_OPERATION(safe_migrate_drop_column_safely)
{
	using namespace safe_migrate::operations;
	begin_call(fcinfo, "drop_column_safely()", {"relation", "column_name"});
	PG_RETURN_INT64(
		drop::drop_column(PG_GETARG_OID(0), NameStr(*PG_GETARG_NAME(1)), read_options(fcinfo, 2)));
}
