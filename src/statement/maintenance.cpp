// Statements about whole tables that are not ALTER, CREATE or DROP TABLE: VACUUM FULL, CLUSTER,
// REFRESH, LOCK; and what belongs to a table: triggers, rules, policies, publications, comments.
#include "statement/dependents.hpp"
#include "statement/drop.hpp"
#include "statement/maintenance.hpp"
#include "statement/relations.hpp"
#include "statement/rename.hpp"

#include "pg/compat_analysis.hpp"

extern "C" {
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_publication.h"
#include "nodes/nodeFuncs.h"
#include "rewrite/rewriteHandler.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
}

namespace safe_migrate::statement {

namespace {

// A lock on the named relation and no more, with its descendants where they are locked too.
void lock_named(Analysis *analysis, const RangeVar *name, Lock lock, bool recurse = false)
{
	Target target = find_target(analysis, name, true);
	if (!OidIsValid(target.relation))
		return;
	Finding *finding = add_lock(analysis, target.relation, lock);
	if (finding != nullptr)
		finding->is_target = true;
	if (recurse)
		add_locks(analysis, with_descendants(target.relation), lock);
}

// ---------------------------------------------------------------- LOCK TABLE

struct ViewWalk {
	Analysis *analysis;
	Lock lock;
	List *views; // on the way here
	Oid role;	 // with whose rights
};

void lock_view(Analysis *analysis, Oid view, Lock lock, List *above);

void lock_entry(const ViewWalk *walk, const RangeTblEntry *entry)
{
	if (entry->relkind == RELKIND_VIEW || entry->relkind == RELKIND_RELATION ||
		entry->relkind == RELKIND_PARTITIONED_TABLE)
		add_right(walk->analysis, RelationRelationId, entry->relid, Right::lock, walk->role);
	switch (entry->relkind) {
		case RELKIND_VIEW:
			if (!list_member_oid(walk->views, entry->relid))
				lock_view(walk->analysis, entry->relid, walk->lock, walk->views);
			return;
		case RELKIND_RELATION:
		case RELKIND_PARTITIONED_TABLE:
			add_locks(walk->analysis,
					  entry->inh ? with_descendants(entry->relid) : list_make1_oid(entry->relid),
					  walk->lock);
			return;
		default:
			return;
	}
}

// LockViewRecurse_walker()
bool lock_walker(Node *node, void *context)
{
	if (node == nullptr)
		return false;
	if (!IsA(node, Query))
		return pg::walk_expression(node, lock_walker, context);
	auto *query = castNode(Query, node);
	ListCell *cell;
	foreach (cell, query->rtable) {
		auto *entry = lfirst_node(RangeTblEntry, cell);
		if (entry->rtekind == RTE_RELATION)
			lock_entry(static_cast<const ViewWalk *>(context), entry);
	}
	return pg::walk_query(query, lock_walker, context, QTW_IGNORE_JOINALIASES);
}

void lock_view(Analysis *analysis, Oid view_oid, Lock lock, List *above)
{
	check_stack_depth();
	add_lock(analysis, view_oid, lock);
	Relation view = open_judged(view_oid);
	if (view == nullptr)
		return;
	ViewWalk walk = {analysis, lock, lappend_oid(list_copy(above), view_oid),
					 RelationHasSecurityInvoker(view) ? GetUserId() : view->rd_rel->relowner};
	lock_walker(reinterpret_cast<Node *>(copyObject(get_view_query(view))), &walk);
	close_judged(view);
}

void analyse_lock(Analysis *analysis, const LockStmt *statement)
{
	auto lock = static_cast<Lock>(statement->mode);
	analysis->effects->nowait = statement->nowait;
	ListCell *cell;
	foreach (cell, statement->relations) {
		auto *name = lfirst_node(RangeVar, cell);
		Target target = find_target(analysis, name, false);
		if (!OidIsValid(target.relation))
			continue;
		if (Finding *finding = add_lock(analysis, target.relation, lock))
			finding->is_target = true;
		if (get_rel_relkind(target.relation) == RELKIND_VIEW)
			lock_view(analysis, target.relation, lock, NIL);
		else if (name->inh)
			add_locks(analysis, with_descendants(target.relation), lock);
	}
}

// ---------------------------------------------------------------- what belongs to a table

// CreateTrigger(): a trigger for each row of a partitioned table is cloned to its partitions.
void analyse_trigger(Analysis *analysis, const CreateTrigStmt *statement)
{
	Target target = find_target(analysis, statement->relation, false);
	if (!OidIsValid(target.relation))
		return;
	bool clones = statement->row && get_rel_relkind(target.relation) == RELKIND_PARTITIONED_TABLE;
	lock_named(analysis, statement->relation, Lock::share_row_exclusive, clones);
}

void analyse_view(Analysis *analysis, const ViewStmt *statement)
{
	if (statement->replace)
		lock_named(analysis, statement->view, Lock::access_exclusive);
}

// ALTER … DEPENDS ON EXTENSION: a materialized view or an index is locked as by DROP.
void analyse_depends(Analysis *analysis, const AlterObjectDependsStmt *statement)
{
	if (statement->objectType == OBJECT_MATVIEW || statement->objectType == OBJECT_INDEX)
		lock_named(analysis, statement->relation, Lock::access_exclusive);
}

// COMMENT and SECURITY LABEL lock a relation, and that of a column, in ShareUpdateExclusive.
void analyse_label(Analysis *analysis, ObjectType type, Node *object)
{
	switch (type) {
		case OBJECT_TABLE:
		case OBJECT_INDEX:
		case OBJECT_SEQUENCE:
		case OBJECT_VIEW:
		case OBJECT_MATVIEW:
		case OBJECT_FOREIGN_TABLE:
			return lock_named(analysis, makeRangeVarFromNameList(castNode(List, object)),
							  Lock::share_update_exclusive);
		case OBJECT_COLUMN: {
			List *names = castNode(List, object);
			return lock_named(
				analysis, makeRangeVarFromNameList(list_copy_head(names, list_length(names) - 1)),
				Lock::share_update_exclusive);
		}
		default:
			return;
	}
}

// The tables of a publication: OpenTableList().  Partitions go with their parent without a lock.
void add_published(Analysis *analysis, const List *objects)
{
	ListCell *cell;
	foreach (cell, objects) {
		auto *object = lfirst_node(PublicationObjSpec, cell);
		if (object->pubtable == nullptr || object->pubtable->relation == nullptr)
			continue;
		const RangeVar *name = object->pubtable->relation;
		Target target = find_target(analysis, name, true);
		lock_named(analysis, name, Lock::share_update_exclusive,
				   name->inh && OidIsValid(target.relation) &&
					   get_rel_relkind(target.relation) != RELKIND_PARTITIONED_TABLE);
	}
}

// SET TABLE: those that it had are locked, too.
void analyse_publication(Analysis *analysis, const AlterPublicationStmt *statement)
{
	add_published(analysis, statement->pubobjects);
	if (statement->action != AP_SetObjects)
		return;
	Oid publication = get_publication_oid(statement->pubname, false);
	add_locks(analysis, pg::tables_named_by(publication), Lock::share_update_exclusive);
}

void analyse_statistics(Analysis *analysis, const CreateStatsStmt *statement)
{
	ListCell *cell;
	foreach (cell, statement->relations) {
		auto *relation = static_cast<Node *>(lfirst(cell));
		if (IsA(relation, RangeVar))
			lock_named(analysis, castNode(RangeVar, relation), Lock::share_update_exclusive);
	}
}

template <class T> const T *as(const Node *statement)
{
	return reinterpret_cast<const T *>(statement);
}

} // namespace

void analyse_maintenance(Analysis *analysis, const Node *statement)
{
	switch (nodeTag(statement)) {
		case T_VacuumStmt:
			return analyse_vacuum(analysis, as<VacuumStmt>(statement));
		case pg::cluster_tag:
			return analyse_cluster(analysis, as<pg::Cluster>(statement));
		case T_RefreshMatViewStmt:
			return analyse_refresh(analysis, as<RefreshMatViewStmt>(statement));
		case T_LockStmt:
			return analyse_lock(analysis, as<LockStmt>(statement));
		case T_CreateTrigStmt:
			return analyse_trigger(analysis, as<CreateTrigStmt>(statement));
		case T_RuleStmt:
			return lock_named(analysis, as<RuleStmt>(statement)->relation, Lock::access_exclusive);
		case T_CreatePolicyStmt:
			return lock_named(analysis, as<CreatePolicyStmt>(statement)->table,
							  Lock::access_exclusive);
		case T_AlterPolicyStmt:
			return lock_named(analysis, as<AlterPolicyStmt>(statement)->table,
							  Lock::access_exclusive);
		case T_AlterSeqStmt:
			return lock_named(analysis, as<AlterSeqStmt>(statement)->sequence,
							  Lock::share_row_exclusive);
		case T_ViewStmt:
			return analyse_view(analysis, as<ViewStmt>(statement));
		case T_AlterOwnerStmt:
			return analyse_alter_owner(analysis, as<AlterOwnerStmt>(statement));
		case T_AlterObjectSchemaStmt:
			return analyse_set_schema(analysis, as<AlterObjectSchemaStmt>(statement));
		case T_AlterObjectDependsStmt:
			return analyse_depends(analysis, as<AlterObjectDependsStmt>(statement));
		case T_CommentStmt:
			return analyse_label(analysis, as<CommentStmt>(statement)->objtype,
								 as<CommentStmt>(statement)->object);
		case T_SecLabelStmt:
			return analyse_label(analysis, as<SecLabelStmt>(statement)->objtype,
								 as<SecLabelStmt>(statement)->object);
		case T_CreatePublicationStmt:
			return add_published(analysis, as<CreatePublicationStmt>(statement)->pubobjects);
		case T_AlterPublicationStmt:
			return analyse_publication(analysis, as<AlterPublicationStmt>(statement));
		case T_CreateStatsStmt:
			return analyse_statistics(analysis, as<CreateStatsStmt>(statement));
		case T_DropOwnedStmt:
			return analyse_drop_owned(analysis, as<DropOwnedStmt>(statement));
		case T_ReassignOwnedStmt:
			return analyse_reassign_owned(analysis, as<ReassignOwnedStmt>(statement));
		default:
			return;
	}
}

} // namespace safe_migrate::statement
