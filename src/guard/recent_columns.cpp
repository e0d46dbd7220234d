// See recent_columns.hpp.  ATExecAddColumn() calls the object access hook for each column that it
// adds, of each partition and child; partitions are left to their parents.
#include "guard/recent_columns.hpp"

#include "guard/policy.hpp"
#include "pg/boundary.hpp"
#include "pg/session_relations.hpp"
#include "pg/sql.hpp"
#include "pg/transaction.hpp"
#include "settings.hpp"
#include "statement/relations.hpp"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
}

namespace safe_migrate::guard {

namespace {

constexpr int64 recent_ms = INT64CONST(7) * 24 * 3600 * 1000;
constexpr int room = 128; // columns added by one statement; more are not remembered

struct Added {
	Oid relation;
	int16 column;
};
Added added[room];
int n_added = 0;

// Parents that got a child with rows: a column of theirs is not new in it.
constexpr int room_for_parents = 32;
Oid adopting[room_for_parents];
int n_adopting = 0;
bool too_many_adopting = false;

object_access_hook_type previous_hook = nullptr;

// The partitioned table above all; itself where there is none, as while a DETACH CONCURRENTLY is
// pending.
Oid root_of(Oid relation)
{
	const List *ancestors =
		get_rel_relispartition(relation) ? get_partition_ancestors(relation) : NIL;
	return ancestors == NIL ? relation : llast_oid(ancestors);
}

void note_adoption(Oid parent)
{
	Oid root = root_of(parent);
	if (n_adopting < room_for_parents)
		adopting[n_adopting++] = root;
	else
		too_many_adopting = true;
}

void on_object_access(ObjectAccessType access, Oid class_id, Oid object, int sub_id, void *arg)
{
	if (previous_hook != nullptr)
		previous_hook(access, class_id, object, sub_id, arg);
	if (access == OAT_POST_CREATE && class_id == RelationRelationId && sub_id > 0 &&
		n_added < room && settings::guard != GUARD_OFF && !get_rel_relispartition(object))
		added[n_added++] = {object, static_cast<int16>(sub_id)};
	// StoreCatalogInheritance1(): ATTACH PARTITION, INHERIT, and tables that are made so
	if (access == OAT_POST_ALTER && class_id == InheritsRelationId && arg != nullptr &&
		settings::guard != GUARD_OFF && statement::heap_bytes(object) != 0)
		note_adoption(static_cast<ObjectAccessPostAlter *>(arg)->auxiliary_id);
}

void forget(XactEvent event, void *)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE) {
		n_added = 0;
		n_adopting = 0;
		too_many_adopting = false;
	}
}

// Only rows that are new, so that no migration waits for another one's.
void write_down(Oid relation, int16 column)
{
	pg::Arg args[] = {pg::arg_oid(relation), pg::arg_int4(column)};
	(void)pg::execute("INSERT INTO safe_migrate.recent_column (relation, attnum) VALUES ($1, $2)",
					  args);
}

// A day later than nobody asks for them any more.  Rows that another transaction is at are left to
// it.
void forget_old()
{
	(void)pg::execute("DELETE FROM safe_migrate.recent_column WHERE ctid = ANY (ARRAY(SELECT ctid "
					  "FROM safe_migrate.recent_column WHERE added_at < "
					  "pg_catalog.clock_timestamp() - interval '8 days' FOR UPDATE SKIP LOCKED))",
					  nullptr, 0);
}

// The latest of these rows, 0 where there is none.  With a snapshot that a serializable transaction
// takes no predicate locks by: what others write here is no conflict.
TimestampTz latest(Relation table, Oid index, Oid relation, int16 column)
{
	ScanKeyData keys[2];
	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relation));
	ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_INT2EQ, Int16GetDatum(column));
	SysScanDesc scan = systable_beginscan(table, index, true, SnapshotSelf, 2, keys);
	TimestampTz last = 0;
	HeapTuple tuple;
	while (HeapTupleIsValid(tuple = systable_getnext(scan))) {
		bool is_null = false;
		Datum at = heap_getattr(tuple, 3, RelationGetDescr(table), &is_null);
		last = std::max(last, DatumGetTimestampTz(at));
	}
	systable_endscan(scan);
	return last;
}

// And no rows of another table came in since.
bool was_added_lately(Oid relation, int16 column)
{
	Oid schema = get_namespace_oid("safe_migrate", true);
	Oid table = get_relname_relid("recent_column", schema);
	Oid index = get_relname_relid("recent_column_relation", schema);
	if (!OidIsValid(table) || !OidIsValid(index))
		return false;
	Relation rel = table_open(table, AccessShareLock);
	const TimestampTz added = latest(rel, index, relation, column);
	const TimestampTz adopted =
		std::max(latest(rel, index, relation, 0), latest(rel, index, InvalidOid, 0));
	table_close(rel, AccessShareLock);
	return added > adopted && !TimestampDifferenceExceeds(added, GetCurrentTimestamp(), recent_ms);
}

void keep_cancel(const ErrorData *error)
{
	if (error != nullptr && error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		ReThrowError(const_cast<ErrorData *>(error));
}

} // namespace

bool is_recent_column(const statement::Finding &finding)
{
	if (finding.cause != statement::Cause::drop_column || finding.column == nullptr ||
		!OidIsValid(finding.relation))
		return false;
	Oid relation = root_of(finding.relation); // a partition's columns are those of its parents
	AttrNumber column = get_attnum(relation, finding.column);
	return column > 0 && was_added_lately(relation, column);
}

// It must not be the reason why a statement fails.
void note_recent_columns()
{
	if (n_added == 0 && n_adopting == 0)
		return;
	int n = n_added;
	int parents = n_adopting;
	bool all = too_many_adopting;
	n_added = 0;
	n_adopting = 0;
	too_many_adopting = false;
	keep_cancel(pg::run_subtransaction([n, parents, all] {
		for (int i = 0; i < parents; i++)
			write_down(all ? InvalidOid : adopting[i], 0);
		for (int i = 0; i < n; i++)
			if (get_rel_persistence(added[i].relation) != RELPERSISTENCE_TEMP)
				write_down(added[i].relation, added[i].column);
	}));
	if (!IsolationUsesXactSnapshot()) // in which others' deletions would be conflicts
		keep_cancel(pg::run_subtransaction([] { forget_old(); }));
}

void install_recent_columns()
{
	previous_hook = object_access_hook;
	object_access_hook = on_object_access;
	RegisterXactCallback(forget, nullptr);
}

} // namespace safe_migrate::guard
