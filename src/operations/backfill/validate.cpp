// See validate.hpp.
#include "operations/backfill/validate.hpp"

#include "operations/backfill/leaf_columns.hpp"
#include "pg/compat_analysis.hpp"
#include "pg/session_relations.hpp"
#include "pg/sql.hpp"

extern "C" {
#include "access/genam.h"
#include "access/relation.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/catalog.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_am.h"
#include "catalog/pg_inherits.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"
}

namespace safe_migrate::operations::backfill {

namespace {

constexpr int offset = FirstLowInvalidHeapAttributeNumber;

// Relations ---------------------------------------------------------------------------

// Why it can't be done: for one relation, which is the root or hangs below it.
struct Refusal {
	int sqlstate;
	const char *what; // "is a view"
	const char *hint; // may be null
};

Refusal refuse_kind(char relkind)
{
	switch (relkind) {
		case RELKIND_VIEW:
			return {ERRCODE_WRONG_OBJECT_TYPE, "is a view", "Name the table beneath it."};
		case RELKIND_MATVIEW:
			return {ERRCODE_WRONG_OBJECT_TYPE, "is a materialized view",
					"Change the tables that it is made from, then refresh it."};
		case RELKIND_FOREIGN_TABLE:
			return {ERRCODE_WRONG_OBJECT_TYPE, "is a foreign table",
					"Run the call on the server that holds the table."};
		case RELKIND_TOASTVALUE:
			return {ERRCODE_WRONG_OBJECT_TYPE, "is a TOAST table", nullptr};
		case RELKIND_RELATION:
		case RELKIND_PARTITIONED_TABLE:
			return {};
		default:
			return {ERRCODE_WRONG_OBJECT_TYPE, "is not a table", nullptr};
	}
}

Refusal refuse_table(Relation rel)
{
	const Form_pg_class form = rel->rd_rel;
	if (refuse_kind(form->relkind).what != nullptr)
		return refuse_kind(form->relkind);
	if (IsCatalogRelation(rel) || RelationGetRelid(rel) < FirstNormalObjectId)
		return {ERRCODE_INSUFFICIENT_PRIVILEGE, "is a system catalog", nullptr};
	if (getExtensionOfObject(RelationRelationId, RelationGetRelid(rel)) == pg::extension_oid())
		return {ERRCODE_FEATURE_NOT_SUPPORTED, "belongs to safe_migrate itself", nullptr};
	if (form->relpersistence == RELPERSISTENCE_TEMP)
		return {ERRCODE_FEATURE_NOT_SUPPORTED, "is a temporary table",
				"Only the session that created it can change it: use a plain statement there."};
	if (form->relkind == RELKIND_RELATION && form->relam != HEAP_TABLE_AM_OID)
		return {ERRCODE_FEATURE_NOT_SUPPORTED, "does not use the table access method heap",
				nullptr};
	if (rel->rd_rules != nullptr)
		return {ERRCODE_FEATURE_NOT_SUPPORTED, "has rules",
				"Rules rewrite a statement into another one; use triggers."};
	return {};
}

[[noreturn]] void raise(const Refusal &refusal, RowAction action, Relation root, Relation culprit)
{
	const char *verb = action == RowAction::update ? "backfill" : "delete from";
	ereport(ERROR,
			(errcode(refusal.sqlstate),
			 errmsg("cannot %s \"%s\"", verb, RelationGetRelationName(root)),
			 root == culprit ? errdetail("\"%s\" %s.", RelationGetRelationName(root), refusal.what)
							 : errdetail("Its %s \"%s\" %s.",
										 culprit->rd_rel->relispartition ? "partition" : "child",
										 RelationGetRelationName(culprit), refusal.what),
			 refusal.hint != nullptr ? errhint("%s", refusal.hint) : 0));
	pg_unreachable();
}

// Rights ------------------------------------------------------------------------------

// The attribute numbers of a descendant for those of the root.
Bitmapset *translate(Oid root, Oid relation, const Bitmapset *columns)
{
	if (relation == root)
		return bms_copy(columns);
	Bitmapset *result = nullptr;
	int member = -1;
	while ((member = bms_next_member(columns, member)) >= 0) {
		int attnum = member + offset;
		if (attnum > 0) {
			attnum =
				get_attnum(relation, get_attname(root, static_cast<AttrNumber>(attnum), false));
			if (attnum == InvalidAttrNumber)
				continue; // dropped since; inheritance makes that impossible
		}
		result = bms_add_member(result, attnum - offset);
	}
	return result;
}

// What the current user lacks on one table: `whole` means that no column-level grant would do.
struct Missing {
	bool whole;
	List *columns; // of names
};

Missing missing_on(Oid relation, AclMode mode, const Bitmapset *columns, bool table_only)
{
	Missing missing = {false, NIL};
	const Oid role = GetUserId();
	if (pg_class_aclcheck(relation, role, mode) == ACLCHECK_OK)
		return missing;
	if (table_only)
		missing.whole = true;
	else if (bms_is_empty(columns)) // then any column will do, as in ExecCheckRTEPerms()
		missing.whole = pg_attribute_aclcheck_all(relation, role, mode, ACLMASK_ANY) != ACLCHECK_OK;
	int member = -1;
	while (!missing.whole && (member = bms_next_member(columns, member)) >= 0) {
		auto attnum = static_cast<AttrNumber>(member + offset);
		if (attnum <= 0) // a whole row, or tableoid
			missing.whole = attnum < 0 || pg_attribute_aclcheck_all(relation, role, mode,
																	ACLMASK_ALL) != ACLCHECK_OK;
		else if (pg_attribute_aclcheck(relation, attnum, role, mode) != ACLCHECK_OK)
			missing.columns = lappend(missing.columns, get_attname(relation, attnum, false));
	}
	return missing;
}

void append_privilege(StringInfo grant, const char *privilege, const Missing &missing)
{
	if (!missing.whole && missing.columns == NIL)
		return;
	if (grant->len > 0)
		appendStringInfoString(grant, ", ");
	appendStringInfoString(grant, privilege);
	if (missing.whole)
		return;
	ListCell *lc;
	foreach (lc, missing.columns)
		appendStringInfo(grant, "%s%s", foreach_current_index(lc) == 0 ? " (" : ", ",
						 quote_identifier(static_cast<char *>(lfirst(lc))));
	appendStringInfoChar(grant, ')');
}

// "SELECT (id), UPDATE (status_v2)": what has to be granted on this table; empty = nothing.
char *missing_privileges(Oid relation, RowAction action, const Bitmapset *assigned,
						 const Bitmapset *selected)
{
	StringInfoData grant;
	initStringInfo(&grant);
	append_privilege(&grant, "SELECT", missing_on(relation, ACL_SELECT, selected, false));
	if (action == RowAction::update)
		append_privilege(&grant, "UPDATE", missing_on(relation, ACL_UPDATE, assigned, false));
	else
		append_privilege(&grant, "DELETE", missing_on(relation, ACL_DELETE, nullptr, true));
	return grant.data;
}

char *qualified_name(Oid relation)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)),
									  get_rel_name(relation));
}

// Index keys, expressions and conditions ------------------------------------------------

Bitmapset *columns_of_index(Relation index)
{
	Bitmapset *columns = nullptr;
	for (int i = 0; i < index->rd_index->indnatts; i++)
		columns = bms_add_member(columns, index->rd_index->indkey.values[i] - offset);
	pull_varattnos(reinterpret_cast<Node *>(RelationGetIndexExpressions(index)), 1, &columns);
	pull_varattnos(reinterpret_cast<Node *>(RelationGetIndexPredicate(index)), 1, &columns);
	return columns;
}

// Of those whose entries change with the columns assigned, and those generated from them.
List *blocking_indexes(Oid relation, const Definition &definition, List *names)
{
	Relation rel = table_open(relation, NoLock);
	const Bitmapset *columns = map_columns(definition, rel).changed_set;
	ListCell *lc;
	foreach (lc, RelationGetIndexList(rel)) {
		Relation index = index_open(lfirst_oid(lc), AccessShareLock);
		if (pg::index_blocks_hot(index) && bms_overlap(columns_of_index(index), columns))
			names = lappend(names, pstrdup(RelationGetRelationName(index)));
		index_close(index, AccessShareLock);
	}
	table_close(rel, NoLock);
	return names;
}

void check_descendant_columns(Relation rel, Relation root, const Bitmapset *assigned)
{
	bool in_expression;
	if (rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE &&
		has_partition_attrs(rel, const_cast<Bitmapset *>(assigned), &in_expression))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("a column of a partition key can't be assigned to"),
						errdetail("Rows of \"%s\" would move to other partitions.",
								  RelationGetRelationName(rel))));
	int member = -1;
	while ((member = bms_next_member(assigned, member)) >= 0) {
		Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(rel), member + offset - 1);
		if (attribute->attgenerated != '\0' || attribute->attidentity == ATTRIBUTE_IDENTITY_ALWAYS)
			ereport(ERROR,
					(errcode(ERRCODE_GENERATED_ALWAYS),
					 errmsg("column \"%s\" can't be assigned to", NameStr(attribute->attname)),
					 errdetail("In \"%s\", below \"%s\", it is generated.",
							   RelationGetRelationName(rel), RelationGetRelationName(root))));
	}
}

} // namespace

Target open_target(Oid relation, RowAction action)
{
	Relation root = try_relation_open(relation, AccessShareLock);
	if (root == nullptr)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("relation with OID %u does not exist", relation)));
	Refusal refusal = refuse_table(root);
	if (refusal.what != nullptr)
		raise(refusal, action, root, root);

	Target target = {root, NIL, NIL};
	ListCell *lc;
	foreach (lc, find_all_inheritors(relation, AccessShareLock, nullptr)) {
		if (pg::is_other_sessions_temp(lfirst_oid(lc)))
			continue;
		target.relations = lappend_oid(target.relations, lfirst_oid(lc));
		Relation rel = relation_open(lfirst_oid(lc), NoLock);
		refusal = refuse_table(rel);
		if (refusal.what != nullptr)
			raise(refusal, action, root, rel);
		if (rel->rd_rel->relkind == RELKIND_RELATION)
			target.leaves = lappend_oid(target.leaves, RelationGetRelid(rel));
		relation_close(rel, NoLock);
	}
	return target;
}

void close_target(const Target &target) { relation_close(target.root, NoLock); }

void check_assigned_columns(const Target &target, const Bitmapset *assigned)
{
	const Oid root = RelationGetRelid(target.root);
	ListCell *lc;
	foreach (lc, target.relations) {
		Relation rel = relation_open(lfirst_oid(lc), NoLock);
		check_descendant_columns(rel, target.root,
								 translate(root, RelationGetRelid(rel), assigned));
		relation_close(rel, NoLock);
	}
}

namespace {

// A call may name the table by its OID, which asks nobody.
void check_schema(Relation root, const char *role)
{
	const Oid schema = RelationGetNamespace(root);
	if (pg::has_schema_right(schema, GetUserId(), ACL_USAGE))
		return;
	const char *name = get_namespace_name(schema);
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					errmsg("permission denied for schema %s", name),
					errhint("GRANT USAGE ON SCHEMA %s TO %s;", quote_identifier(name), role)));
}

} // namespace

void check_rights(const Target &target, RowAction action, const Bitmapset *assigned,
				  const Bitmapset *selected)
{
	constexpr int max_named = 20;
	const Oid root = RelationGetRelid(target.root);
	const char *role = quote_identifier(GetUserNameFromId(GetUserId(), false));
	check_schema(target.root, role);
	StringInfoData grants;
	initStringInfo(&grants);
	Oid first = InvalidOid;
	int n = 0;
	ListCell *lc;
	foreach (lc, target.relations) {
		Oid relation = lfirst_oid(lc);
		char *privileges = missing_privileges(relation, action, translate(root, relation, assigned),
											  translate(root, relation, selected));
		if (privileges[0] == '\0')
			continue;
		if (n++ == 0)
			first = relation;
		if (n <= max_named)
			appendStringInfo(&grants, "%sGRANT %s ON %s TO %s;", n == 1 ? "" : " ", privileges,
							 qualified_name(relation), role);
	}
	if (n == 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied for table %s", get_rel_name(first)),
			 n == 1
				 ? errdetail("The job does its work with the rights of role %s on the table.", role)
				 : errdetail("The job does its work with the rights of role %s on each of the "
							 "tables; they are missing on %d of %d.",
							 role, n, list_length(target.relations)),
			 errhint("%s", grants.data)));
}

void check_row_security(const Target &target)
{
	ListCell *lc;
	foreach (lc, target.relations) {
		Oid relation = lfirst_oid(lc);
		if (check_enable_rls(relation, InvalidOid, true) != RLS_ENABLED)
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("row security would hide rows of table \"%s\" from role \"%s\"",
						get_rel_name(relation), GetUserNameFromId(GetUserId(), false)),
				 errdetail("The job could reach only a part of the rows, and not know it."),
				 errhint("Run the call as the table's owner (unless the table has FORCE ROW LEVEL "
						 "SECURITY) or as a role with BYPASSRLS.")));
	}
}

void check_may_disable_triggers()
{
	if (pg_parameter_aclcheck("session_replication_role", GetUserId(), ACL_SET) == ACLCHECK_OK)
		return;
	ereport(
		ERROR,
		(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("permission denied to leave triggers out"),
		 errdetail("fire_triggers = false runs the job under session_replication_role = replica."),
		 errhint("GRANT SET ON PARAMETER session_replication_role TO %s;",
				 quote_identifier(GetUserNameFromId(GetUserId(), false)))));
}

void note_indexes(const Target &target, const Definition &definition)
{
	constexpr int max_named = 10;
	List *names = NIL;
	ListCell *lc;
	foreach (lc, target.leaves)
		names = blocking_indexes(lfirst_oid(lc), definition, names);
	if (names == NIL)
		return;
	StringInfoData list;
	initStringInfo(&list);
	foreach (lc, names) {
		if (foreach_current_index(lc) == max_named) {
			appendStringInfo(&list, " and %d more", list_length(names) - max_named);
			break;
		}
		appendStringInfo(&list, "%s\"%s\"", foreach_current_index(lc) == 0 ? "" : ", ",
						 static_cast<char *>(lfirst(lc)));
	}
	ereport(
		NOTICE,
		(errmsg("an index on an assigned column makes this several times more expensive: %s",
				list.data),
		 errdetail("Heap-only updates are impossible: each written row gets a new entry in every "
				   "index of its table."),
		 errhint("Where you can, drop the index, backfill, and build it afterwards.")));
}

int count_indexes(const Definition &definition, Oid leaf, bool *blocking)
{
	*blocking = blocking_indexes(leaf, definition, NIL) != NIL;
	Relation rel = table_open(leaf, NoLock);
	int n = list_length(RelationGetIndexList(rel));
	table_close(rel, NoLock);
	return n;
}

int64 blocks_of_others(const Target &target, int64 *own)
{
	int64 blocks = 0;
	ListCell *lc;
	foreach (lc, target.leaves) {
		Relation rel = relation_open(lfirst_oid(lc), NoLock);
		(pg::is_session_relation(lfirst_oid(lc)) ? *own : blocks) += RelationGetNumberOfBlocks(rel);
		relation_close(rel, NoLock);
	}
	return blocks;
}

} // namespace safe_migrate::operations::backfill
