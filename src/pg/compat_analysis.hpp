// What differs between PostgreSQL majors in parse analysis and in the catalog questions
// that go with it; see compat.hpp.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "access/amapi.h"
#include "access/attmap.h"
#include "access/htup_details.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_database.h"
#include "catalog/pg_publication.h"
#include "catalog/pg_tablespace.h"
#include "catalog/pg_type.h"
#include "common/relpath.h"
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"
#include "nodes/plannodes.h"
#include "parser/parse_node.h"
#include "parser/parse_relation.h"
#include "parser/parsetree.h"
#include "parser/scanner.h"
#include "utils/acl.h"
#include "utils/rel.h"
#include "utils/syscache.h"
}

namespace safe_migrate::pg {

// expression_tree_walker() and query_tree_walker(), whose callback has no prototype before 16.
using TreeWalker = bool (*)(Node *, void *);
#if PG_VERSION_NUM < 160000
inline auto untyped(TreeWalker walker)
{
	return reinterpret_cast<bool (*)()>(reinterpret_cast<void (*)()>(walker));
}
#endif
inline bool walk_expression(Node *node, TreeWalker walker, void *context)
{
#if PG_VERSION_NUM >= 160000
	return expression_tree_walker(node, walker, context);
#else
	return expression_tree_walker(node, untyped(walker), context);
#endif
}
inline bool walk_query(Query *query, TreeWalker walker, void *context, int flags)
{
#if PG_VERSION_NUM >= 160000
	return query_tree_walker(query, walker, context, flags);
#else
	return query_tree_walker(query, untyped(walker), context, flags);
#endif
}

inline bool walk_raw_expression(Node *node, TreeWalker walker, void *context)
{
#if PG_VERSION_NUM >= 160000
	return raw_expression_tree_walker(node, walker, context);
#else
	return raw_expression_tree_walker(node, untyped(walker), context);
#endif
}

// Columns that parse analysis marked as read, offset by FirstLowInvalidHeapAttributeNumber.
inline Bitmapset *selected_columns(const ParseNamespaceItem *item)
{
#if PG_VERSION_NUM >= 160000
	return item->p_perminfo->selectedCols;
#else
	return item->p_rte->selectedCols;
#endif
}

// Which columns of its relations the query has rights asked for to read: forgotten.
inline void forget_selected(Query *query)
{
	ListCell *cell;
#if PG_VERSION_NUM >= 160000
	foreach (cell, query->rteperminfos)
		lfirst_node(RTEPermissionInfo, cell)->selectedCols = nullptr;
#else
	foreach (cell, query->rtable)
		lfirst_node(RangeTblEntry, cell)->selectedCols = nullptr;
#endif
}

// What the query's target has to be allowed: ACL_UPDATE, ACL_DELETE, …
inline void require_permission(ParseNamespaceItem *item, AclMode mode)
{
#if PG_VERSION_NUM >= 160000
	item->p_perminfo->requiredPerms |= mode;
#else
	item->p_rte->requiredPerms |= mode;
#endif
}

inline void set_range_table(Query *query, ParseState *state)
{
	query->rtable = state->p_rtable;
#if PG_VERSION_NUM >= 160000
	query->rteperminfos = state->p_rteperminfos;
#endif
}

// ExecCheckPermissions(): error 42501 where the current user may not read what the query reads.
inline void check_query_permissions(const Query *query)
{
#if PG_VERSION_NUM >= 160000
	ExecCheckPermissions(query->rtable, query->rteperminfos, true);
#else
	ExecCheckRTPerms(query->rtable, true);
#endif
}

// The same as an answer.
inline bool may_run_query(const Query *query)
{
#if PG_VERSION_NUM >= 160000
	return ExecCheckPermissions(query->rtable, query->rteperminfos, false);
#else
	return ExecCheckRTPerms(query->rtable, false);
#endif
}

// FuncnameGetCandidates() by position, with defaults and VARIADIC; nullptr where there is none.
inline FuncCandidateList functions_named(List *names, int n_arguments)
{
#if PG_VERSION_NUM >= 190000
	int flags;
	return FuncnameGetCandidates(names, n_arguments, NIL, true, true, false, true, &flags);
#else
	return FuncnameGetCandidates(names, n_arguments, NIL, true, true, false, true);
#endif
}

inline bool owns_relation(Oid relation, Oid role)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(RelationRelationId, relation, role);
#else
	return pg_class_ownercheck(relation, role);
#endif
}

inline bool has_schema_right(Oid schema, Oid role, AclMode right)
{
#if PG_VERSION_NUM >= 160000
	return object_aclcheck(NamespaceRelationId, schema, role, right) == ACLCHECK_OK;
#else
	return pg_namespace_aclcheck(schema, role, right) == ACLCHECK_OK;
#endif
}

inline bool may_execute(Oid function, Oid role)
{
#if PG_VERSION_NUM >= 160000
	return object_aclcheck(ProcedureRelationId, function, role, ACL_EXECUTE) == ACLCHECK_OK;
#else
	return pg_proc_aclcheck(function, role, ACL_EXECUTE) == ACLCHECK_OK;
#endif
}

inline bool may_connect(Oid database, Oid role)
{
#if PG_VERSION_NUM >= 160000
	return object_aclcheck(DatabaseRelationId, database, role, ACL_CONNECT) == ACLCHECK_OK;
#else
	return pg_database_aclcheck(database, role, ACL_CONNECT) == ACLCHECK_OK;
#endif
}

inline bool may_use_type(Oid type, Oid role)
{
#if PG_VERSION_NUM >= 160000
	return object_aclcheck(TypeRelationId, type, role, ACL_USAGE) == ACLCHECK_OK;
#else
	return pg_type_aclcheck(type, role, ACL_USAGE) == ACLCHECK_OK;
#endif
}

inline bool may_create_in_tablespace(Oid tablespace, Oid role)
{
#if PG_VERSION_NUM >= 160000
	return object_aclcheck(TableSpaceRelationId, tablespace, role, ACL_CREATE) == ACLCHECK_OK;
#else
	return pg_tablespace_aclcheck(tablespace, role, ACL_CREATE) == ACLCHECK_OK;
#endif
}

inline bool may_use_schema(Oid schema, Oid role)
{
	return has_schema_right(schema, role, ACL_USAGE);
}

// May the role VACUUM and ANALYZE the relation?  Mirrors vacuum_is_permitted_for_relation().
inline bool may_maintain(Oid relation, Oid role)
{
#if PG_VERSION_NUM >= 170000
	return object_ownercheck(DatabaseRelationId, MyDatabaseId, role) ||
		   pg_class_aclcheck(relation, role, ACL_MAINTAIN) == ACLCHECK_OK;
#elif PG_VERSION_NUM >= 160000
	return object_ownercheck(DatabaseRelationId, MyDatabaseId, role) ||
		   owns_relation(relation, role);
#else
	return pg_database_ownercheck(MyDatabaseId, role) || owns_relation(relation, role);
#endif
}

// VACUUM and ANALYZE of a table are also of those that inherit from it; of a partitioned table they
// always were.
inline constexpr bool vacuum_descends = PG_VERSION_NUM >= 180000;

inline bool has_returning(const UpdateStmt *update)
{
#if PG_VERSION_NUM >= 180000
	return update->returningClause != nullptr;
#else
	return update->returningList != NIL;
#endif
}

// FOREIGN KEY (…, PERIOD …)
inline bool has_period(const Constraint *constraint)
{
#if PG_VERSION_NUM >= 180000
	return constraint->fk_with_period;
#else
	return false;
#endif
}

// UNIQUE and PRIMARY KEY (…, … WITHOUT OVERLAPS)
inline bool is_without_overlaps(const Constraint *constraint)
{
#if PG_VERSION_NUM >= 180000
	return constraint->without_overlaps;
#else
	return false;
#endif
}

inline bool is_not_enforced(const Constraint *constraint)
{
#if PG_VERSION_NUM >= 180000
	return !constraint->is_enforced &&
		   (constraint->contype == CONSTR_CHECK || constraint->contype == CONSTR_FOREIGN);
#else
	return false;
#endif
}

// FOREIGN KEY … NOT VALID on a partitioned table.
#if PG_VERSION_NUM >= 180000
inline constexpr bool partitioned_keys_can_be_not_valid = true;
#else
inline constexpr bool partitioned_keys_can_be_not_valid = false;
#endif

// NOT NULL constraints that are not validated, by name.
#if PG_VERSION_NUM >= 180000
inline constexpr bool not_null_can_be_not_valid = true;
#else
inline constexpr bool not_null_can_be_not_valid = false;
#endif

// What an UPDATE or DELETE returns, as a target list.
template <class Statement> List *returning_of(const Statement *statement)
{
#if PG_VERSION_NUM >= 180000
	return statement->returningClause != nullptr ? statement->returningClause->exprs : NIL;
#else
	return statement->returningList;
#endif
}

// Is an action of MERGE for rows of the target that match; or for those that don't (17)?
template <class Action> bool is_for_matched(const Action *action)
{
#if PG_VERSION_NUM >= 170000
	return action->matchKind == MERGE_WHEN_MATCHED;
#else
	return action->matched;
#endif
}
template <class Action> bool is_for_unmatched_target(const Action *action)
{
#if PG_VERSION_NUM >= 170000
	return action->matchKind == MERGE_WHEN_NOT_MATCHED_BY_SOURCE;
#else
	return false;
#endif
}

// Is the column known to hold no NULL?  From 18 on a NOT NULL constraint may be NOT VALID.
inline bool is_not_null(TupleDesc desc, AttrNumber attnum)
{
#if PG_VERSION_NUM >= 180000
	return TupleDescCompactAttr(desc, attnum - 1)->attnullability == ATTNULLABLE_VALID;
#else
	return TupleDescAttr(desc, attnum - 1)->attnotnull;
#endif
}

inline void run_executor(QueryDesc *query)
{
#if PG_VERSION_NUM >= 180000
	ExecutorRun(query, ForwardScanDirection, 0);
#else
	ExecutorRun(query, ForwardScanDirection, 0, true);
#endif
}

// A summarizing index (BRIN) doesn't stop heap-only updates from 16 on.
inline bool index_blocks_hot(Relation index)
{
#if PG_VERSION_NUM >= 160000
	return !index->rd_indam->amsummarizing;
#else
	return true;
#endif
}

// Of a permanent relation's main fork, below the data directory.
inline const char *main_fork_path(Oid tablespace, bool shared, Oid filenumber)
{
	Oid database = shared ? InvalidOid : MyDatabaseId;
#if PG_VERSION_NUM >= 180000
	return pstrdup(
		GetRelationPath(database, tablespace, filenumber, INVALID_PROC_NUMBER, MAIN_FORKNUM).str);
#elif PG_VERSION_NUM >= 170000
	return GetRelationPath(database, tablespace, filenumber, INVALID_PROC_NUMBER, MAIN_FORKNUM);
#else
	return GetRelationPath(database, tablespace, filenumber, InvalidBackendId, MAIN_FORKNUM);
#endif
}

// Which column of `output` each column of `input` is, by name; an error where one is missing.
inline AttrMap *attribute_map(TupleDesc input, TupleDesc output)
{
#if PG_VERSION_NUM >= 160000
	return build_attrmap_by_name(input, output, false);
#else
	return build_attrmap_by_name(input, output);
#endif
}

// pg_constraint.contype, '\0' where there is none.
inline char constraint_type(Oid constraint)
{
	HeapTuple tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	if (!HeapTupleIsValid(tuple))
		return '\0';
	char type = reinterpret_cast<Form_pg_constraint>(GETSTRUCT(tuple))->contype;
	ReleaseSysCache(tuple);
	return type;
}

// ATTACH PARTITION takes over a foreign key of the new partition that is NOT VALID, and validates
// it only where the parent's is valid.
#if PG_VERSION_NUM >= 180000
inline constexpr bool attaches_unvalidated_keys = true;
#else
inline constexpr bool attaches_unvalidated_keys = false;
#endif

// VACUUM and ANALYZE of a parent by inheritance go on to its children.
#if PG_VERSION_NUM >= 180000
inline constexpr bool vacuum_recurses = true;
#else
inline constexpr bool vacuum_recurses = false;
#endif

// ATTACH PARTITION tells an index of a PRIMARY KEY from one of a UNIQUE constraint.
#if PG_VERSION_NUM >= 160000
inline constexpr bool compares_constraint_types = true;
#else
inline constexpr bool compares_constraint_types = false;
#endif

inline bool uses_temporary_objects(const Query *query)
{
#if PG_VERSION_NUM >= 190000
	ObjectAddress object;
	return query_uses_temp_object(const_cast<Query *>(query), &object);
#else
	return isQueryUsingTempRelation(const_cast<Query *>(query));
#endif
}

// Oids of the tables that the statement writes to.
inline List *written_relations(const PlannedStmt *plan)
{
	List *relations = NIL;
#if PG_VERSION_NUM >= 190000
	for (int index = -1; (index = bms_next_member(plan->resultRelationRelids, index)) >= 0;)
		relations = lappend_oid(relations, rt_fetch(index, plan->rtable)->relid);
#else
	ListCell *cell;
	foreach (cell, plan->resultRelations)
		relations = lappend_oid(relations, rt_fetch(lfirst_int(cell), plan->rtable)->relid);
#endif
	return relations;
}

// Warnings of the scanner, which went in 19, are not given again.
inline void silence(core_yy_extra_type *scanner)
{
#if PG_VERSION_NUM < 190000
	scanner->escape_string_warning = false;
#endif
}

// U&'…' is read whatever standard_conforming_strings is, which can't be off any more in 19.
inline void read_unicode(core_yy_extra_type *scanner)
{
#if PG_VERSION_NUM < 190000
	scanner->standard_conforming_strings = true;
#endif
}

// Publications that name the table, not those of its schema or of all tables.
inline List *publications_naming(Oid relation)
{
#if PG_VERSION_NUM >= 190000
	return GetRelationIncludedPublications(relation);
#else
	return GetRelationPublications(relation);
#endif
}

// Publications of all tables, without those that name it as an exception (19).
inline List *publications_of_all(Oid relation)
{
#if PG_VERSION_NUM >= 190000
	return list_difference_oid(GetAllTablesPublications(),
							   GetRelationExcludedPublications(relation));
#else
	return GetAllTablesPublications();
#endif
}

inline List *tables_named_by(Oid publication)
{
#if PG_VERSION_NUM >= 190000
	return GetIncludedPublicationRelations(publication, PUBLICATION_PART_ROOT);
#else
	return GetPublicationRelations(publication, PUBLICATION_PART_ROOT);
#endif
}
} // namespace safe_migrate::pg
