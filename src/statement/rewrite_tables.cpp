// See maintenance.hpp.  Follows ExecVacuum(), cluster() and ExecRefreshMatView().
#include "statement/maintenance.hpp"

#include "pg/catalog_scan.hpp"
#include "pg/compat_analysis.hpp"
#include "pg/options.hpp"
#include "statement/dependents.hpp"
#include "statement/relations.hpp"

extern "C" {
#include "access/genam.h"
#include "access/transam.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "commands/defrem.h"
#include "utils/lsyscache.h"
}

namespace safe_migrate::statement {

namespace {

void add_rewrite(Analysis *analysis, Cause cause, Oid table, bool is_target)
{
	Finding *finding = add_finding(analysis, cause, Effect::rewrite, table, Lock::access_exclusive);
	finding->is_target = is_target;
	int64 heap = own_heap_bytes(table);
	int64 indexes = own_index_bytes(table);
	finding->bytes = heap < 0 || indexes < 0 ? -1 : heap + indexes;
	finding->indexes = count_own_indexes(table);
	judge_as_table(finding);
}

bool is_rewritten(char kind) { return kind == RELKIND_RELATION || kind == RELKIND_MATVIEW; }

// Of one relation that VACUUM or ANALYZE names: vacuum_rel(), analyze_rel().
void add_vacuum(Analysis *analysis, Oid table, bool full, bool is_target)
{
	char kind = get_rel_relkind(table);
	bool has_rows = is_rewritten(kind) || kind == RELKIND_TOASTVALUE || has_rows_elsewhere(table);
	if (full && has_rows && table >= FirstNormalObjectId)
		return add_rewrite(analysis, Cause::vacuum_full, table, is_target);
	if (Finding *finding =
			add_lock(analysis, table, full ? Lock::access_exclusive : Lock::share_update_exclusive))
		finding->is_target = is_target;
}

// get_all_vacuum_rels(), of which only the users' tables count, and only where they are rewritten.
void add_all(Analysis *analysis, Cause cause)
{
	List *tables = NIL;
	pg::for_each_row<FormData_pg_class>(RelationRelationId, [&](const FormData_pg_class &row) {
		if (is_rewritten(row.relkind) && row.relpersistence != RELPERSISTENCE_TEMP &&
			row.oid >= FirstNormalObjectId && pg::may_maintain(row.oid, GetUserId()))
			tables = lappend_oid(tables, row.oid);
	});
	list_sort(tables, list_oid_cmp);
	ListCell *cell;
	foreach (cell, tables)
		add_rewrite(analysis, cause, lfirst_oid(cell), false);
	foreach (cell, tables_with_rows_elsewhere())
		if (pg::may_maintain(lfirst_oid(cell), GetUserId()))
			add_rewrite(analysis, cause, lfirst_oid(cell), false);
}

// ---------------------------------------------------------------- CLUSTER

// Tables with an index marked by an earlier CLUSTER: get_tables_to_cluster().
List *clustered_tables()
{
	List *tables = NIL;
	pg::for_each_row<FormData_pg_index>(IndexRelationId, [&](const FormData_pg_index &row) {
		if (row.indisclustered && row.indrelid >= FirstNormalObjectId &&
			pg::may_maintain(row.indrelid, GetUserId()))
			tables = lappend_oid(tables, row.indrelid);
	});
	list_sort(tables, list_oid_cmp);
	return tables;
}

void cluster_partitions(Analysis *analysis, Oid parent, const pg::Cluster *statement)
{
	const char *index_name = statement->indexname;
	Oid index = index_name == nullptr ? InvalidOid
									  : get_relname_relid(index_name, get_rel_namespace(parent));
	if (Finding *finding = add_lock(analysis, parent, Lock::access_exclusive))
		finding->is_target = true;
	ListCell *cell;
	if (index_name == nullptr && !pg::takes_clustered_ones(statement))
		foreach (cell, with_descendants(parent))
			if (is_rewritten(get_rel_relkind(lfirst_oid(cell))) ||
				has_rows_elsewhere(lfirst_oid(cell)))
				add_rewrite(analysis, Cause::cluster, lfirst_oid(cell), false);
	if (!OidIsValid(index))
		return; // refused, or marked indexes, which a partitioned table has none of
	foreach (cell, with_descendants(index)) {
		Oid table = IndexGetRelation(lfirst_oid(cell), false);
		if (get_rel_relkind(lfirst_oid(cell)) == RELKIND_INDEX || has_rows_elsewhere(table))
			add_rewrite(analysis, Cause::cluster, table, false);
	}
}

} // namespace

void analyse_vacuum(Analysis *analysis, const VacuumStmt *statement)
{
	bool full = statement->is_vacuumcmd && pg::has_option(statement->options, "full");
	if (statement->rels == NIL) {
		if (full)
			add_all(analysis, Cause::vacuum_full);
		return;
	}
	ListCell *cell;
	foreach (cell, statement->rels) {
		auto *named = lfirst_node(VacuumRelation, cell);
		Oid table = OidIsValid(named->oid) || named->relation == nullptr
						? named->oid
						: find_target(analysis, named->relation, false).relation;
		if (!OidIsValid(table))
			continue;
		add_vacuum(analysis, table, full, true);
		bool recurses = get_rel_relkind(table) == RELKIND_PARTITIONED_TABLE ||
						(pg::vacuum_recurses && named->relation != nullptr && named->relation->inh);
		if (!recurses)
			continue;
		ListCell *child;
		foreach (child, with_descendants(table)) {
			if (lfirst_oid(child) != table)
				add_vacuum(analysis, lfirst_oid(child), full, false);
		}
	}
}

void analyse_cluster(Analysis *analysis, const pg::Cluster *statement)
{
	const RangeVar *relation = pg::clustered_relation(statement);
	if (relation == nullptr) {
		if (!pg::takes_clustered_ones(statement))
			return add_all(analysis, Cause::cluster);
		ListCell *cell;
		foreach (cell, clustered_tables())
			add_rewrite(analysis, Cause::cluster, lfirst_oid(cell), false);
		return;
	}
	Target target = find_target(analysis, relation, false);
	if (!OidIsValid(target.relation))
		return;
	if (pg::repacks_concurrently(statement)) {
		if (Finding *finding = add_lock(analysis, target.relation, Lock::access_exclusive))
			finding->is_target = true;
	} else if (get_rel_relkind(target.relation) == RELKIND_PARTITIONED_TABLE)
		cluster_partitions(analysis, target.relation, statement);
	else
		add_rewrite(analysis, Cause::cluster, target.relation, true);
}

void analyse_refresh(Analysis *analysis, const RefreshMatViewStmt *statement)
{
	Target target = find_target(analysis, statement->relation, false);
	if (!OidIsValid(target.relation))
		return;
	add_rewrite(analysis, Cause::refresh_materialized_view, target.relation, true);
	Finding *finding = first_finding(analysis->effects, target.relation);
	if (statement->concurrent) {
		// Reads go on, and nobody writes to it but another REFRESH.
		finding->cause = Cause::lock;
		finding->effect = Effect::scan;
		finding->lock = Lock::exclusive;
	} else if (statement->skipData) {
		finding->effect = Effect::data_loss;
		finding->facts = "it could not be queried any more until it is refreshed with data";
	}
}

} // namespace safe_migrate::statement
