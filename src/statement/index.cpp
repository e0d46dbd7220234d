// CREATE INDEX and REINDEX.  Follows ProcessUtilitySlow(), DefineIndex() and ExecReindex().
#include "pg/catalog_scan.hpp"
#include "pg/options.hpp"
#include "statement/dependents.hpp"
#include "statement/index_match.hpp"
#include "statement/relations.hpp"

extern "C" {
#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/defrem.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

namespace safe_migrate::statement {

namespace {

IndexBuilds builds_of(const Analysis *analysis, const IndexStmt *statement, Oid table_oid)
{
	IndexBuilds builds = {};
	if (get_rel_relkind(table_oid) != RELKIND_PARTITIONED_TABLE) {
		builds = {own_heap_bytes(table_oid), 1, 0};
		return builds;
	}
	if (!statement->relation->inh)
		return builds;
	Relation table = open_judged(table_oid);
	if (table == nullptr)
		return builds;
	find_builds(table_oid, shape_of_statement(table, statement, analysis->source), &builds);
	close_judged(table);
	return builds;
}

// The relation that keeps IF NOT EXISTS from doing anything.
Oid find_namesake(const IndexStmt *statement, Oid table)
{
	if (!statement->if_not_exists || statement->idxname == nullptr)
		return InvalidOid;
	return get_relname_relid(statement->idxname, get_rel_namespace(table));
}

// Whether that is an invalid index is the guard's to look at.
void add_skipped(Analysis *analysis, Oid table, Oid namesake, Lock lock)
{
	Finding *finding = add_finding(analysis, Cause::lock, Effect::metadata, table, lock);
	finding->is_target = true;
	finding->object = get_rel_name(namesake);
	finding->facts = "a relation of that name exists: nothing would be built";
}

} // namespace

void analyse_create_index(Analysis *analysis, const IndexStmt *statement)
{
	Target target = find_target(analysis, statement->relation, false);
	if (!OidIsValid(target.relation))
		return;
	Oid table = target.relation;
	Lock lock = statement->concurrent ? Lock::share_update_exclusive : Lock::share;
	Oid namesake = find_namesake(statement, table);
	if (OidIsValid(namesake)) {
		add_skipped(analysis, table, namesake, lock);
	} else {
		IndexBuilds builds = builds_of(analysis, statement, table);
		bool builds_any = builds.leaves > 0;
		Finding *finding =
			add_finding(analysis, builds_any ? Cause::create_index : Cause::lock,
						builds_any ? Effect::index_build : Effect::metadata, table, lock);
		finding->is_target = true;
		finding->bytes = builds.bytes;
		finding->indexes = builds.leaves;
		finding->object = statement->idxname;
		finding->definition = analysis->effects->text;
		if (builds.matched > 0)
			finding->facts =
				psprintf("%d of its partitions have such an index already", builds.matched);
	}
	if (statement->relation->inh && get_rel_relkind(table) == RELKIND_PARTITIONED_TABLE)
		add_locks(analysis, with_descendants(table), lock);
}

// ---------------------------------------------------------------- REINDEX

namespace {

struct Reindex {
	Analysis *analysis;
	bool concurrently;
	bool is_target;
	Lock table_lock;
	Lock index_lock;
};

void add_index_rebuild(const Reindex &reindex, Oid table, Oid index, Exempt exempt)
{
	Finding *finding = add_finding(reindex.analysis, Cause::reindex, Effect::index_build, index,
								   reindex.index_lock);
	finding->exempt = exempt;
	finding->bytes = own_heap_bytes(table);
	finding->indexes = 1;
	finding->object = finding->name;
	if (!reindex.concurrently)
		finding->facts = OidIsValid(table_of_toast(table))
							 ? "queries wait for it when they read long values"
							 : "queries of its table wait for it when they are planned";
}

// reindex_relation(), or reindex_index() where one is given.
void reindex_table(const Reindex &reindex, Oid table, Oid only_index)
{
	List *indexes = OidIsValid(only_index) ? list_make1_oid(only_index) : own_indexes(table);
	Finding *finding = add_finding(reindex.analysis, Cause::reindex, Effect::index_build, table,
								   reindex.table_lock);
	finding->bytes = own_heap_bytes(table);
	finding->indexes = list_length(indexes);
	finding->is_target = reindex.is_target && !OidIsValid(only_index);
	finding->works_apart = reindex.concurrently;
	if (OidIsValid(only_index))
		finding->object = get_rel_name(only_index);
	if (indexes == NIL) {
		finding->cause = Cause::lock;
		finding->effect = Effect::metadata;
	}
	judge_as_table(finding);
	Exempt exempt = finding->exempt;
	ListCell *cell;
	foreach (cell, indexes)
		add_index_rebuild(reindex, table, lfirst_oid(cell), exempt);
}

// The partitions that are only where the sizes are from: how many there are is not known.
void reindex_elsewhere(const Reindex &reindex, Oid table, const char *index)
{
	if (!has_rows_elsewhere(table))
		return;
	Finding *finding = add_finding(reindex.analysis, Cause::reindex, Effect::index_build, table,
								   reindex.table_lock);
	finding->bytes = own_heap_bytes(table);
	finding->indexes = 1;
	finding->works_apart = reindex.concurrently;
	finding->object = index;
}

// ReindexPartitions(): the whole tree is locked in Share first, whatever is asked for, and briefly;
// then each leaf by itself, in a transaction of its own.
void reindex_partitions(const Reindex &asked, Oid parent, bool is_index)
{
	if (is_index)
		add_lock(asked.analysis, IndexGetRelation(parent, false), asked.table_lock);
	List *tree = with_descendants(parent);
	add_locks(asked.analysis, tree, Lock::share);
	if (Finding *finding = first_finding(asked.analysis->effects, parent))
		finding->is_target = true;
	Reindex reindex = asked;
	reindex.is_target = false;
	ListCell *cell;
	foreach (cell, tree) {
		Oid member = lfirst_oid(cell);
		char kind = get_rel_relkind(member);
		if (kind == RELKIND_INDEX)
			reindex_table(reindex, IndexGetRelation(member, false), member);
		else if (kind == RELKIND_RELATION)
			reindex_table(reindex, member, InvalidOid);
		else if (kind == RELKIND_PARTITIONED_INDEX)
			reindex_elsewhere(reindex, IndexGetRelation(member, false), get_rel_name(member));
		else
			reindex_elsewhere(reindex, member, nullptr);
	}
}

// ReindexMultipleTables(): of a schema or of the whole database; catalogs are nobody's table.
void reindex_many(const Reindex &reindex, Oid schema)
{
	List *tables = NIL;
	pg::for_each_row<FormData_pg_class>(RelationRelationId, [&](const FormData_pg_class &row) {
		bool has_indexes = row.relkind == RELKIND_RELATION || row.relkind == RELKIND_MATVIEW;
		if (has_indexes && row.relhasindex && row.relpersistence != RELPERSISTENCE_TEMP &&
			row.oid >= FirstNormalObjectId && (!OidIsValid(schema) || row.relnamespace == schema))
			tables = lappend_oid(tables, row.oid);
	});
	list_sort(tables, list_oid_cmp);
	ListCell *cell;
	foreach (cell, tables)
		reindex_table(reindex, lfirst_oid(cell), InvalidOid);
	foreach (cell, tables_with_rows_elsewhere())
		if (!OidIsValid(schema) || get_rel_namespace(lfirst_oid(cell)) == schema)
			reindex_elsewhere(reindex, lfirst_oid(cell), nullptr);
}

} // namespace

void analyse_reindex(Analysis *analysis, const ReindexStmt *statement)
{
	bool concurrently = pg::has_option(statement->params, "concurrently");
	Reindex reindex = {analysis, concurrently, true,
					   concurrently ? Lock::share_update_exclusive : Lock::share,
					   concurrently ? Lock::share_update_exclusive : Lock::access_exclusive};
	if (statement->relation == nullptr) {
		if (statement->kind == REINDEX_OBJECT_SYSTEM)
			return;
		reindex.is_target = false;
		reindex_many(reindex, statement->kind == REINDEX_OBJECT_SCHEMA
								  ? get_namespace_oid(statement->name, false)
								  : InvalidOid);
		return;
	}
	Target target = find_target(analysis, statement->relation, false);
	if (!OidIsValid(target.relation))
		return;
	bool is_index = statement->kind == REINDEX_OBJECT_INDEX;
	char kind = get_rel_relkind(target.relation);
	if (kind == (is_index ? RELKIND_PARTITIONED_INDEX : RELKIND_PARTITIONED_TABLE))
		reindex_partitions(reindex, target.relation, is_index);
	else if (!is_index)
		reindex_table(reindex, target.relation, InvalidOid);
	else if (kind == RELKIND_INDEX)
		reindex_table(reindex, IndexGetRelation(target.relation, false), target.relation);
}

} // namespace safe_migrate::statement
