// Differences between the server's majors that the row engine meets: permission
// infos (16), summarising indexes (16), mutator signatures (16).
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "access/attmap.h"
#include "access/heapam.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "catalog/index.h"
#include "executor/executor.h"
#include "executor/instrument.h"
#include "nodes/execnodes.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "parser/parse_node.h"
#include "parser/parse_relation.h"
#include "rewrite/rewriteHandler.h"
#include "rewrite/rewriteManip.h"
#include "storage/bufmgr.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/snapmgr.h"
}

namespace safe_migrate::pg {

// Which indexes need an entry for a new row version; TU_UpdateIndexes of 16.
enum class NewEntries : uint8_t { none, all, summarizing };

#if PG_VERSION_NUM >= 160000
using UpdateIndexes = TU_UpdateIndexes;
inline NewEntries new_entries(UpdateIndexes u)
{
	return u == TU_None ? NewEntries::none
						: (u == TU_Summarizing ? NewEntries::summarizing : NewEntries::all);
}
constexpr UpdateIndexes no_update_indexes = TU_None;
inline bool is_summarizing(const IndexInfo *info) { return info->ii_Summarizing; }
inline Bitmapset *hot_blocking_columns(Relation rel)
{
	return RelationGetIndexAttrBitmap(rel, INDEX_ATTR_BITMAP_HOT_BLOCKING);
}
#else
using UpdateIndexes = bool;
inline NewEntries new_entries(UpdateIndexes u) { return u ? NewEntries::all : NewEntries::none; }
constexpr UpdateIndexes no_update_indexes = false;
inline bool is_summarizing(const IndexInfo *) { return false; }
inline Bitmapset *hot_blocking_columns(Relation rel)
{
	return RelationGetIndexAttrBitmap(rel, INDEX_ATTR_BITMAP_ALL);
}
#endif

// table_tuple_update() by the active snapshot.
inline TM_Result update_tuple(Relation rel, ItemPointer tid, TupleTableSlot *slot,
							  CommandId command, bool wait, TM_FailureData *failure,
							  LockTupleMode *mode, UpdateIndexes *update)
{
#if PG_VERSION_NUM >= 190000
	return table_tuple_update(rel, tid, slot, command, 0, GetActiveSnapshot(), InvalidSnapshot,
							  wait, failure, mode, update);
#else
	return table_tuple_update(rel, tid, slot, command, GetActiveSnapshot(), InvalidSnapshot, wait,
							  failure, mode, update);
#endif
}

// table_tuple_delete() by the active snapshot.
inline TM_Result delete_tuple(Relation rel, ItemPointer tid, CommandId command, bool wait,
							  TM_FailureData *failure)
{
#if PG_VERSION_NUM >= 190000
	return table_tuple_delete(rel, tid, command, 0, GetActiveSnapshot(), InvalidSnapshot, wait,
							  failure);
#else
	return table_tuple_delete(rel, tid, command, GetActiveSnapshot(), InvalidSnapshot, wait,
							  failure, false);
#endif
}

// heap_page_prune_opt() of a page that is about to be written to.
inline void prune_page(Relation rel, Buffer buffer)
{
#if PG_VERSION_NUM >= 190000
	Buffer map = InvalidBuffer;
	heap_page_prune_opt(rel, buffer, &map, false);
	if (BufferIsValid(map))
		ReleaseBuffer(map);
#else
	heap_page_prune_opt(rel, buffer);
#endif
}

inline bool is_removable(GlobalVisState *horizon, TransactionId xid)
{
#if PG_VERSION_NUM >= 190000
	return GlobalVisTestIsRemovableXid(horizon, xid, true);
#else
	return GlobalVisTestIsRemovableXid(horizon, xid);
#endif
}

// Rows that a node has given out, before its last cycle is closed.
inline double rows_of_node(const PlanState *node)
{
	return node->instrument->ntuples + node->instrument->tuplecount;
}

// heap_update() of a server with assertions takes it for a mistake to find a row locked when
// told not to wait; others return TM_BeingModified.
#ifdef USE_ASSERT_CHECKING
constexpr bool update_must_hold_lock = true;
#else
constexpr bool update_must_hold_lock = false;
#endif

// Adds `mode` (and, for ACL_UPDATE, the columns it needs it on) to what ExecutorStart
// checks for `rte`.
inline void require_permission(ParseState *pstate, RangeTblEntry *rte, AclMode mode,
							   Bitmapset *updated)
{
#if PG_VERSION_NUM >= 160000
	RTEPermissionInfo *info = getRTEPermissionInfo(pstate->p_rteperminfos, rte);
#else
	RangeTblEntry *info = rte;
#endif
	info->requiredPerms |= mode;
	info->updatedCols = bms_union(info->updatedCols, updated);
}

// Adds columns to those that ExecutorStart checks ACL_SELECT on for `rte`.
inline void require_selected(ParseState *pstate, RangeTblEntry *rte, Bitmapset *selected)
{
#if PG_VERSION_NUM >= 160000
	RTEPermissionInfo *info = getRTEPermissionInfo(pstate->p_rteperminfos, rte);
#else
	RangeTblEntry *info = rte;
#endif
	if (bms_is_empty(selected))
		return;
	info->requiredPerms |= ACL_SELECT;
	info->selectedCols = bms_union(info->selectedCols, selected);
}

// Hands range table and permission infos of an analysed ParseState to a query.
inline void take_range_table(Query *query, ParseState *pstate)
{
	query->rtable = pstate->p_rtable;
#if PG_VERSION_NUM >= 160000
	query->rteperminfos = pstate->p_rteperminfos;
#endif
}

using Mutator = Node *(*)(Node *node, void *context);

#if PG_VERSION_NUM < 160000
using UntypedMutator = Node *(*)();
inline UntypedMutator untyped(Mutator mutator)
{
	return reinterpret_cast<UntypedMutator>(reinterpret_cast<void (*)()>(mutator));
}
#endif

inline Node *mutate_expression(Node *node, Mutator mutator, void *context)
{
#if PG_VERSION_NUM >= 160000
	return expression_tree_mutator(node, mutator, context);
#else
	return expression_tree_mutator(node, untyped(mutator), context);
#endif
}

inline Query *mutate_query(Query *query, Mutator mutator, void *context)
{
#if PG_VERSION_NUM >= 160000
	return query_tree_mutator(query, mutator, context, 0);
#else
	return query_tree_mutator(query, untyped(mutator), context, 0);
#endif
}

// Runs a started query to its end; ExecutorRun() lost an argument in 18.
inline void run_to_end(QueryDesc *query)
{
#if PG_VERSION_NUM >= 180000
	ExecutorRun(query, ForwardScanDirection, 0);
#else
	ExecutorRun(query, ForwardScanDirection, 0, true);
#endif
}

// A generated column whose value is computed when read (18).
inline bool is_virtual_generated(const FormData_pg_attribute *attribute)
{
#if PG_VERSION_NUM >= 180000
	return attribute->attgenerated == ATTRIBUTE_GENERATED_VIRTUAL;
#else
	return false;
#endif
}

inline bool has_virtual_columns(Relation rel)
{
#if PG_VERSION_NUM >= 180000
	const TupleConstr *constraints = RelationGetDescr(rel)->constr;
	return constraints != nullptr && constraints->has_generated_virtual;
#else
	return false;
#endif
}

// Virtual generated columns of a leaf (range table entry 1) are what `root` says that they are: as
// in a query that names root.
inline Node *expand_virtual_columns_of_root(Node *expression, RangeTblEntry *rte, Relation root,
											Relation leaf)
{
#if PG_VERSION_NUM >= 180000
	TupleDesc desc = RelationGetDescr(root);
	AttrMap *to_leaf = build_attrmap_by_name(RelationGetDescr(leaf), desc, false);
	List *values = NIL;
	bool whole_row;
	for (int i = 0; i < desc->natts; i++) {
		if (!is_virtual_generated(TupleDescAttr(desc, i)))
			continue;
		Node *value = map_variable_attnos(build_generation_expression(root, i + 1), 1, 0, to_leaf,
										  InvalidOid, &whole_row);
		values = lappend(values, makeTargetEntry(reinterpret_cast<Expr *>(value),
												 to_leaf->attnums[i], nullptr, false));
	}
	return ReplaceVarsFromTargetList(expression, 1, 0, rte, values, 0, REPLACEVARS_CHANGE_VARNO, 1,
									 nullptr);
#else
	return expression;
#endif
}

} // namespace safe_migrate::pg
