// Planning and running of the row query: a TID range scan over one page at a time.
#include "operations/backfill/row_query.hpp"
#include "operations/backfill/expression.hpp"
#include "operations/backfill/row_analysis.hpp"
#include "pg/compat.hpp"
#include "pg/compat_executor.hpp"
#include "pg/pinned_settings.hpp"
#include "pg/finally.hpp"

extern "C" {
#include "common/hashfn.h"
#include "catalog/pg_type_d.h"
#include "nodes/pathnodes.h"
#include "optimizer/optimizer.h"
#include "optimizer/paths.h"
#include "rewrite/rewriteHandler.h"
#include "rewrite/rewriteManip.h"
#include "storage/lmgr.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
}

namespace safe_migrate::operations::backfill {
namespace {

// ---- staleness: any of these may change what the plan stands on (as plancache.c)

uint64 catalog_change_count = 0;

// Relations and cached objects that plans of this backend stand on, as a set that may hold
// more than was put in: other sessions' temporary tables should not cost us a plan each.
class WatchList {
public:
	void add(uint32 key) { bits_[slot(key) / 64] |= UINT64CONST(1) << (slot(key) % 64); }
	bool has(uint32 key) const { return (bits_[slot(key) / 64] >> (slot(key) % 64)) & 1; }

private:
	static constexpr uint32 size = 4096;
	static uint32 slot(uint32 key) { return hash_bytes_uint32(key) % size; }
	uint64 bits_[size / 64];
};

WatchList watched_relations, watched_objects;

void relation_changed(Datum, Oid relation)
{
	if (!OidIsValid(relation) || watched_relations.has(relation))
		catalog_change_count++;
}

void object_changed(Datum, pg::SystemCache, uint32 hash)
{
	if (hash == 0 || watched_objects.has(hash))
		catalog_change_count++;
}

void anything_changed(Datum, pg::SystemCache, uint32) { catalog_change_count++; }

void watch_catalog()
{
	static bool watching = false;

	if (watching)
		return;
	CacheRegisterRelcacheCallback(relation_changed, 0);
	for (pg::SystemCache cache : {PROCOID, TYPEOID})
		CacheRegisterSyscacheCallback(cache, object_changed, 0);
	for (pg::SystemCache cache : {OPEROID, AMOPOPID, NAMESPACEOID, AUTHOID})
		CacheRegisterSyscacheCallback(cache, anything_changed, 0);
	watching = true;
}

void watch(const PlannedStmt *plan)
{
	ListCell *cell;

	foreach (cell, plan->relationOids)
		watched_relations.add(lfirst_oid(cell));
	foreach (cell, plan->invalItems)
		watched_objects.add(lfirst_node(PlanInvalItem, cell)->hashValue);
}

// ---- planning

set_rel_pathlist_hook_type previous_pathlist_hook = nullptr;

bool is_bounded_by_parameter(const Path *path)
{
	if (!IsA(path, TidRangePath))
		return false;
	ListCell *cell;
	foreach (cell, reinterpret_cast<const TidRangePath *>(path)->tidrangequals) {
		const OpExpr *clause =
			reinterpret_cast<const OpExpr *>(lfirst_node(RestrictInfo, cell)->clause);
		if (!IsA(clause, OpExpr))
			continue;
		if (IsA(lsecond(clause->args), Param) || IsA(linitial(clause->args), Param))
			return true;
	}
	return false;
}

// Leaves the TID range scan as the only path of the relation that has one bounded by our
// parameters.  Users' texts can't contain parameters, so that is the target and no other.
void keep_tid_range(PlannerInfo *root, RelOptInfo *rel, Index rti, RangeTblEntry *rte)
{
	ListCell *cell;

	if (previous_pathlist_hook)
		previous_pathlist_hook(root, rel, rti, rte);
	foreach (cell, rel->pathlist) {
		Path *path = static_cast<Path *>(lfirst(cell));
		if (is_bounded_by_parameter(path)) {
			rel->pathlist = list_make1(path);
			rel->partial_pathlist = NIL;
			return;
		}
	}
}

PlannedStmt *plan_row_query(Query *query, bool *reads_own_changes)
{
	List *rewritten = QueryRewrite(query);
	PlannedStmt *plan = nullptr;

	*reads_own_changes = may_read_own_changes(reinterpret_cast<Node *>(rewritten));

	if (list_length(rewritten) != 1)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("cannot backfill a table with rules on UPDATE or DELETE")));
	previous_pathlist_hook = set_rel_pathlist_hook;
	set_rel_pathlist_hook = keep_tid_range;
	pg::with_cleanup([&] { plan = pg::plan_query(linitial_node(Query, rewritten), "row query"); },
					 [] { set_rel_pathlist_hook = previous_pathlist_hook; });
	return plan;
}

void refuse_row_security(Oid relation)
{
	if (check_enable_rls(relation, InvalidOid, true) != RLS_ENABLED)
		return;
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					errmsg("row-level security of table \"%s\" applies to role \"%s\"",
						   get_rel_name(relation), GetUserNameFromId(GetUserId(), false)),
					errdetail("Rows that a policy hides would silently be left out."),
					errhint("Queue it as the table's owner (unless the table has FORCE ROW LEVEL "
							"SECURITY) or as a role with BYPASSRLS.")));
}

// The stored texts are read under the settings they were deparsed under, and planned under the
// job's own: functions that are inlined find their names there.
template <class F> PlannedStmt *plan_in(MemoryContext context, bool *reads_own_changes, F &&analyse)
{
	MemoryContext caller = CurrentMemoryContext;
	pg::PinnedSettings pinned;

	pinned.enter();
	Query *query = analyse();
	pinned.leave();
	PlannedStmt *planned = plan_row_query(query, reads_own_changes);
	MemoryContextSwitchTo(context);
	planned = static_cast<PlannedStmt *>(copyObjectImpl(planned));
	planned->jitFlags = 0; // it would be compiled for each batch
	watch(planned);
	MemoryContextSwitchTo(caller);
	return planned;
}

bool constraints_may_read(Relation leaf)
{
	const TupleConstr *constraints = RelationGetDescr(leaf)->constr;

	if (constraints == nullptr)
		return false;
	for (int i = 0; i < constraints->num_check; i++)
		if (may_read_own_changes(static_cast<Node *>(stringToNode(constraints->check[i].ccbin))))
			return true;
	return false;
}

// The scan's condition; in an UPDATE its query is a level below the new row's.
bool is_of_row_only(const Query *row_query, RowAction action)
{
	if (action == RowAction::update)
		row_query = linitial_node(RangeTblEntry, row_query->rtable)->subquery;
	return !checkExprHasSubLink(row_query->jointree->quals) &&
		   !contain_mutable_functions(row_query->jointree->quals);
}

void plan(RowQuery &query, const Definition &definition, Relation leaf)
{
	MemoryContext caller = CurrentMemoryContext;

	refuse_row_security(RelationGetRelid(leaf));
	refuse_row_security(definition.relation);
	query.root = definition.relation;
	watched_relations.add(definition.relation);
	watched_relations.add(RelationGetRelid(leaf));
	query.plan = query.write_plan = nullptr;
	MemoryContextReset(query.context);
	MemoryContextSwitchTo(query.context);
	query.columns = map_columns(definition, leaf);
	MemoryContextSwitchTo(caller);
	query.planned_at = catalog_changes();
	query.plan = plan_in(query.context, &query.reads_own_changes, [&] {
		Query *analysed = analyse_row_query(definition, query.columns, leaf);
		query.depends_on_row_only = is_of_row_only(analysed, definition.action);
		return analysed;
	});
	query.reads_own_changes = query.reads_own_changes || constraints_may_read(leaf);
}

// As one of the tables that an UPDATE or DELETE of the root writes to: it is the root's triggers
// for each statement that fire, and none of the leaf's.
void write_as_part_of(const PlannedStmt *plan, Oid root)
{
	auto *write = castNode(ModifyTable, plan->planTree);
	ListCell *cell;

	foreach (cell, plan->rtable)
		if (lfirst_node(RangeTblEntry, cell)->rtekind == RTE_RELATION &&
			lfirst_node(RangeTblEntry, cell)->relid == root) {
			Index index = foreach_current_index(cell) + 1;
			if (index != static_cast<Index>(linitial_int(write->resultRelations)))
				write->rootRelation = index;
			return;
		}
}

// As AcquireExecutorLocks of plancache.c.
void lock_relations(const PlannedStmt *plan)
{
	ListCell *cell;

	foreach (cell, plan->rtable) {
		const RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);
		if (rte->rtekind == RTE_RELATION ||
			(rte->rtekind == RTE_SUBQUERY && OidIsValid(rte->relid)))
			LockRelationOid(rte->relid, rte->rellockmode);
	}
}

ParamListInfo make_bounds(RowQuery &query)
{
	ParamListInfo bounds = makeParamList(2);

	for (int i = 0; i < 2; i++) {
		bounds->params[i].isnull = false;
		bounds->params[i].pflags = PARAM_FLAG_CONST;
		bounds->params[i].ptype = TIDOID;
	}
	bounds->params[0].value = PointerGetDatum(&query.first);
	bounds->params[1].value = PointerGetDatum(&query.last);
	return bounds;
}

} // namespace

uint64 catalog_changes() { return catalog_change_count; }

void prepare(RowQuery &query, MemoryContext parent, const Definition &definition, Relation leaf)
{
	watch_catalog();
	if (query.context == nullptr)
		query.context = AllocSetContextCreate(parent, "backfill plan", ALLOCSET_DEFAULT_SIZES);
	if (query.plan != nullptr)
		lock_relations(query.plan);
	if (query.write_plan != nullptr)
		lock_relations(query.write_plan);
	if (query.plan == nullptr || query.planned_at != catalog_changes())
		plan(query, definition, leaf);
}

void prepare_write(RowQuery &query, const Definition &definition, Relation leaf)
{
	bool ignored;

	if (query.write_plan == nullptr) {
		query.write_plan = plan_in(query.context, &ignored, [&] {
			return analyse_write_query(definition, query.columns, leaf, &query.write_takes_values);
		});
		write_as_part_of(query.write_plan, definition.relation);
	}
}

void start(RowQuery &query)
{
	ItemPointerSet(&query.first, 0, FirstOffsetNumber);
	ItemPointerSet(&query.last, 0, FirstOffsetNumber);
	query.bounds = make_bounds(query);
	query.running = CreateQueryDesc(query.plan, "row query", GetActiveSnapshot(), InvalidSnapshot,
									None_Receiver, query.bounds, nullptr, 0);
	ExecutorStart(query.running, 0);
}

void scan_page(RowQuery &query, BlockNumber block, OffsetNumber first, OffsetNumber last)
{
	ItemPointerSet(&query.first, block, first);
	ItemPointerSet(&query.last, block, last);
	MemoryContext caller = MemoryContextSwitchTo(query.running->estate->es_query_cxt);
	ExecReScan(query.running->planstate);
	MemoryContextSwitchTo(caller);
}

bool next_row(RowQuery &query, RowCandidate *row)
{
	MemoryContext caller = MemoryContextSwitchTo(query.running->estate->es_query_cxt);
	TupleTableSlot *slot = ExecProcNode(query.running->planstate);

	MemoryContextSwitchTo(caller);
	if (TupIsNull(slot))
		return false;
	slot_getallattrs(slot);
	int ctid = slot->tts_tupleDescriptor->natts > 1 ? query.columns.natts : 0;
	row->tid = *reinterpret_cast<ItemPointer>(DatumGetPointer(slot->tts_values[ctid]));
	row->values = slot->tts_values;
	row->nulls = slot->tts_isnull;
	row->still_matches = ctid > 0 && DatumGetBool(slot->tts_values[ctid + 1]);
	return true;
}

void finish(RowQuery &query)
{
	ExecutorFinish(query.running);
	ExecutorEnd(query.running);
	FreeQueryDesc(query.running);
	query.running = nullptr;
}

} // namespace safe_migrate::operations::backfill
