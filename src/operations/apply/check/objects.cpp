// See check.hpp.  What statements other than ALTER TABLE name beside the table itself.
#include "operations/apply/check/check.hpp"
#include "operations/apply/check/expressions.hpp"

#include "operations/ddl/restrict.hpp"
#include "pg/compat_analysis.hpp"
#include "pg/compat_repack.hpp"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_am.h"
#include "catalog/heap.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "commands/policy.h"
#include "commands/trigger.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parse_clause.h"
#include "parser/parse_func.h"
#include "parser/parse_node.h"
#include "parser/parse_relation.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
}

namespace safe_migrate::operations::apply {

void add_relation(ParseState *state, Relation relation, const char *alias)
{
	addNSItemToQuery(state,
					 addRangeTableEntryForRelation(state, relation, AccessShareLock,
												   alias ? makeAlias(alias, NIL) : nullptr, false,
												   false),
					 false, true, true);
}

void check_condition(ParseState *state, const Node *condition, ParseExprKind kind, const char *name)
{
	(void)transformWhereClause(state, static_cast<Node *>(copyObjectImpl(condition)), kind, name);
}

namespace {

// ---------------------------------------------------------------- policies

void check_roles(const List *roles)
{
	ListCell *cell;
	foreach (cell, roles) {
		auto *role = lfirst_node(RoleSpec, cell);
		if (role->roletype != ROLESPEC_PUBLIC)
			(void)get_rolespec_oid(role, false);
	}
}

// As CreatePolicy() and AlterPolicy().
void check_policy(RangeVar *table, const List *roles, const Node *qual, const Node *check,
				  const char *sql)
{
	check_roles(roles);
	Relation relation = relation_openrv(table, AccessShareLock);
	ParseState *state = make_parsestate(nullptr);
	state->p_sourcetext = sql;
	add_relation(state, relation, nullptr);
	check_condition(state, qual, EXPR_KIND_POLICY, "POLICY");
	check_condition(state, check, EXPR_KIND_POLICY, "POLICY");
	relation_close(relation, NoLock);
}

void check_new_policy(const CreatePolicyStmt *create, const char *sql)
{
	bool is_insert = strcmp(create->cmd_name, "insert") == 0;
	bool only_reads =
		strcmp(create->cmd_name, "select") == 0 || strcmp(create->cmd_name, "delete") == 0;
	if (only_reads && create->with_check)
		refuse(ERRCODE_SYNTAX_ERROR, "WITH CHECK cannot be applied to SELECT or DELETE");
	if (is_insert && create->qual)
		refuse(ERRCODE_SYNTAX_ERROR, "only WITH CHECK expression allowed for INSERT");
	Oid oid = RangeVarGetRelid(create->table, NoLock, false);
	char kind = get_rel_relkind(oid);
	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
		refuse(ERRCODE_WRONG_OBJECT_TYPE, "\"%s\" is not a table", create->table->relname);
	if (OidIsValid(get_relation_policy_oid(oid, create->policy_name, true)))
		ereport(ERROR, (errcode(ERRCODE_DUPLICATE_OBJECT),
						errmsg("policy \"%s\" for table \"%s\" already exists", create->policy_name,
							   get_rel_name(oid))));
	check_policy(create->table, create->roles, create->qual, create->with_check, sql);
}

void check_changed_policy(const AlterPolicyStmt *alter, const char *sql)
{
	Oid oid = RangeVarGetRelid(alter->table, NoLock, false);
	(void)get_relation_policy_oid(oid, alter->policy_name, false);
	check_policy(alter->table, alter->roles, alter->qual, alter->with_check, sql);
}

// ---------------------------------------------------------------- views, queries, drops, …

Query *analyse(const Node *query, const char *sql)
{
	RawStmt *raw = makeNode(RawStmt);
	raw->stmt = static_cast<Node *>(copyObjectImpl(query));
	return parse_analyze_fixedparams(raw, sql, nullptr, 0, nullptr);
}

// CREATE OR REPLACE VIEW: its columns stay, as checkViewTupleDesc() has it.
void check_columns_of_view(Relation view, const ViewStmt *create, const char *sql)
{
	TupleDesc old = RelationGetDescr(view);
	int i = 0;
	ListCell *cell;
	foreach (cell, analyse(create->query, sql)->targetList) {
		auto *entry = lfirst_node(TargetEntry, cell);
		if (entry->resjunk)
			continue;
		if (i >= old->natts)
			return;
		const FormData_pg_attribute *column = TupleDescAttr(old, i);
		const char *name = i < list_length(create->aliases) ? strVal(list_nth(create->aliases, i))
															: entry->resname;
		if (strcmp(name, NameStr(column->attname)) != 0)
			ereport(ERROR, (errcode(ERRCODE_INVALID_TABLE_DEFINITION),
							errmsg("cannot change name of view column \"%s\" to \"%s\"",
								   NameStr(column->attname), name),
							errhint("Use ALTER VIEW ... RENAME COLUMN ... to change name of view "
									"column instead.")));
		Oid type = exprType(reinterpret_cast<Node *>(entry->expr));
		int32 typmod = exprTypmod(reinterpret_cast<Node *>(entry->expr));
		if (type != UNKNOWNOID && (type != column->atttypid || typmod != column->atttypmod))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
					 errmsg("cannot change data type of view column \"%s\" from %s to %s", name,
							format_type_with_typemod(column->atttypid, column->atttypmod),
							format_type_with_typemod(type, typmod))));
		i++;
	}
	if (i < old->natts)
		ereport(ERROR, (errcode(ERRCODE_INVALID_TABLE_DEFINITION),
						errmsg("cannot drop columns from view")));
}

void check_replaced_view(const ViewStmt *create, const char *sql)
{
	RangeVar *name = create->view;
	Oid oid = get_relname_relid(name->relname, RangeVarGetCreationNamespace(name));
	if (!create->replace || !OidIsValid(oid))
		return;
	Relation view = relation_open(oid, AccessShareLock);
	if (view->rd_rel->relkind != RELKIND_VIEW)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s\" is not a view", RelationGetRelationName(view))));
	check_columns_of_view(view, create, sql);
	relation_close(view, NoLock);
}

// CREATE TABLE AS, CREATE MATERIALIZED VIEW: the query is analysed, and its name is free.
void check_created_by_query(const CreateTableAsStmt *create, const char *sql)
{
	RangeVar *name = create->into->rel;
	Oid schema = RangeVarGetCreationNamespace(name);
	if (!create->if_not_exists && OidIsValid(get_relname_relid(name->relname, schema)))
		ereport(ERROR, (errcode(ERRCODE_DUPLICATE_TABLE),
						errmsg("relation \"%s\" already exists", name->relname)));
	if (!IsA(create->query, ExecuteStmt))
		(void)analyse(create->query, sql);
}

// Each is there and of its kind, and nothing is left that depends on it.
void check_drop(const DropStmt *drop)
{
	ListCell *cell;
	foreach (cell, drop->objects) {
		Relation relation = nullptr;
		ObjectAddress object =
			get_object_address(drop->removeType, static_cast<Node *>(lfirst(cell)), &relation,
							   AccessShareLock, drop->missing_ok);
		if (relation)
			relation_close(relation, NoLock);
		if (OidIsValid(object.objectId) && drop->behavior == DROP_RESTRICT &&
			list_length(drop->objects) == 1)
			ddl::refuse_dependents(object);
	}
}

// As ExecuteTruncateGuts(): who refers to them, or to what inherits from them.
void check_references(const TruncateStmt *truncate)
{
	List *relations = NIL;
	ListCell *cell, *one;
	foreach (cell, truncate->relations) {
		auto *name = lfirst_node(RangeVar, cell);
		Oid oid = RangeVarGetRelid(name, NoLock, false);
		foreach (one, name->inh ? find_all_inheritors(oid, NoLock, nullptr) : list_make1_oid(oid))
			if (get_rel_relkind(lfirst_oid(one)) != RELKIND_FOREIGN_TABLE)
				relations = lappend(relations, table_open(lfirst_oid(one), AccessShareLock));
	}
	heap_truncate_check_FKs(relations, false);
	foreach (cell, relations)
		table_close(static_cast<Relation>(lfirst(cell)), NoLock);
}

// As truncate_check_rel(), ExecuteTruncate().
void check_truncate(const TruncateStmt *truncate)
{
	ListCell *cell;
	foreach (cell, truncate->relations) {
		auto *name = lfirst_node(RangeVar, cell);
		char kind = get_rel_relkind(RangeVarGetRelid(name, NoLock, false));
		if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE &&
			kind != RELKIND_FOREIGN_TABLE)
			refuse(ERRCODE_WRONG_OBJECT_TYPE, "\"%s\" is not a table", name->relname);
		if (kind == RELKIND_PARTITIONED_TABLE && !name->inh)
			refuse(ERRCODE_WRONG_OBJECT_TYPE, "cannot truncate only a partitioned table");
	}
	if (truncate->behavior == DROP_RESTRICT)
		check_references(truncate);
}

void check_cluster(const pg::Cluster *cluster)
{
	RangeVar *name = pg::clustered_relation(cluster);
	if (!name || !cluster->indexname)
		return;
	Relation relation = table_openrv(name, AccessShareLock);
	Oid index = get_relname_relid(cluster->indexname, RelationGetNamespace(relation));
	if (!OidIsValid(index))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("index \"%s\" for table \"%s\" does not exist", cluster->indexname,
							   RelationGetRelationName(relation))));
	check_index_is_clusterable(relation, index, AccessShareLock);
	table_close(relation, NoLock);
}

void check_extension(const CreateExtensionStmt *create)
{
	if (!create->if_not_exists && OidIsValid(get_extension_oid(create->extname, true)))
		ereport(ERROR, (errcode(ERRCODE_DUPLICATE_OBJECT),
						errmsg("extension \"%s\" already exists", create->extname)));
}

// As is_usable_unique_index().
bool is_key_of_columns(Relation index)
{
	const FormData_pg_index *form = index->rd_index;
	bool fits = form->indisunique && form->indimmediate && form->indisvalid &&
				index->rd_rel->relam == BTREE_AM_OID &&
				heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, nullptr);
	for (int i = 0; fits && i < form->indnatts; i++)
		fits = form->indkey.values[i] > 0;
	return fits;
}

bool has_key_of_columns(Relation view)
{
	bool has = false;
	ListCell *cell;
	foreach (cell, RelationGetIndexList(view)) {
		Relation index = index_open(lfirst_oid(cell), AccessShareLock);
		has = has || is_key_of_columns(index);
		index_close(index, NoLock);
	}
	return has;
}

void check_refresh(const RefreshMatViewStmt *refresh)
{
	Oid oid = RangeVarGetRelid(refresh->relation, NoLock, false);
	if (get_rel_relkind(oid) != RELKIND_MATVIEW)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s\" is not a materialized view", get_rel_name(oid))));
	if (!refresh->concurrent)
		return;
	if (refresh->skipData)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR), errmsg("%s and %s options cannot be used together",
													   "CONCURRENTLY", "WITH NO DATA")));
	Relation view = table_open(oid, AccessShareLock);
	if (!RelationIsPopulated(view))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("CONCURRENTLY cannot be used when the materialized view is not "
							   "populated")));
	if (!has_key_of_columns(view))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot refresh materialized view \"%s\" concurrently",
						quote_qualified_identifier(get_namespace_name(RelationGetNamespace(view)),
												   RelationGetRelationName(view))),
				 errhint("Create a unique index with no WHERE clause on one or more columns "
						 "of the materialized view.")));
	table_close(view, NoLock);
}

} // namespace

void check_objects(const Unit &unit)
{
	Node *statement = unit.statement;
	switch (nodeTag(statement)) {
		case T_CreateTrigStmt:
			return check_trigger(castNode(CreateTrigStmt, statement), unit.sql);
		case T_RuleStmt:
			return check_rule(castNode(RuleStmt, statement), unit.sql);
		case T_TruncateStmt:
			return check_truncate(castNode(TruncateStmt, statement));
		case T_CreatePolicyStmt:
			return check_new_policy(castNode(CreatePolicyStmt, statement), unit.sql);
		case T_AlterPolicyStmt:
			return check_changed_policy(castNode(AlterPolicyStmt, statement), unit.sql);
		case T_ViewStmt:
			return check_replaced_view(castNode(ViewStmt, statement), unit.sql);
		case T_CreateTableAsStmt:
			return check_created_by_query(castNode(CreateTableAsStmt, statement), unit.sql);
		case T_DropStmt:
			return check_drop(castNode(DropStmt, statement));
		case T_CreateExtensionStmt:
			return check_extension(castNode(CreateExtensionStmt, statement));
		case pg::cluster_tag:
			return check_cluster(reinterpret_cast<const pg::Cluster *>(statement));
		case T_RefreshMatViewStmt:
			return check_refresh(castNode(RefreshMatViewStmt, statement));
		default:
			return;
	}
}

} // namespace safe_migrate::operations::apply
