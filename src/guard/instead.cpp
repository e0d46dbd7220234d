// The safe way to do the same: the rule's template, filled in.  See message.hpp.
#include "guard/message.hpp"

#include "pg/compat_analysis.hpp"
#include "statement/dependents.hpp"
#include "statement/relations.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "lib/stringinfo.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "parser/scansup.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"
}

namespace safe_migrate::guard {

namespace {

using statement::Effects;
using statement::Finding;

char *qualified(const char *schema, const char *name)
{
	if (name == nullptr)
		return nullptr;
	return schema ? quote_qualified_identifier(schema, name) : pstrdup(quote_identifier(name));
}

// From there to there, without the space, commas and semicolons around it.
char *cut(const char *begin, const char *end)
{
	while (begin < end && scanner_isspace(*begin))
		begin++;
	while (end > begin && (scanner_isspace(end[-1]) || end[-1] == ';' || end[-1] == ','))
		end--;
	return pnstrdup(begin, end - begin);
}

// CREATE INDEX with CONCURRENTLY in its place; nullptr where the word INDEX is not found.
char *with_concurrently(const char *statement)
{
	for (const char *p = statement; *p; p++) {
		if (pg_strncasecmp(p, "index", 5) != 0 || (p > statement && p[-1] > ' ') || p[5] > ' ')
			continue;
		return psprintf("%.*s CONCURRENTLY%s", static_cast<int>(p + 5 - statement), statement,
						p + 5);
	}
	return nullptr;
}

// As the statement names it.
char *as_written(const RangeVar *name)
{
	return name->schemaname ? quote_qualified_identifier(name->schemaname, name->relname)
							: pstrdup(quote_identifier(name->relname));
}

template <class Statement> const Statement *only_statement(const char *text, NodeTag tag)
{
	List *parsed = text ? pg_parse_query(text) : NIL;
	if (list_length(parsed) != 1)
		return nullptr;
	Node *statement = linitial_node(RawStmt, parsed)->stmt;
	return nodeTag(statement) == tag ? reinterpret_cast<const Statement *>(statement) : nullptr;
}

// ALTER TABLE parent ATTACH or DETACH PARTITION partition …
struct PartitionNames {
	char *parent;
	char *partition;
	char *bound; // FOR VALUES …
};

PartitionNames partition_names(const char *text)
{
	auto *alter = only_statement<AlterTableStmt>(text, T_AlterTableStmt);
	if (alter == nullptr || list_length(alter->cmds) != 1)
		return {};
	auto *command = linitial_node(AlterTableCmd, alter->cmds);
	if (command->subtype != AT_AttachPartition && command->subtype != AT_DetachPartition)
		return {};
	const RangeVar *partition = castNode(PartitionCmd, command->def)->name;
	const char *rest = text + partition->location;
	bool quoted = false;
	for (; *rest && (quoted || !scanner_isspace(*rest)); rest++)
		quoted = quoted != (*rest == '"');
	return {as_written(alter->relation), as_written(partition), cut(rest, rest + strlen(rest))};
}

// What REINDEX is about: a table or an index; nullptr for schemas and databases.
char *reindex_target(const char *text)
{
	auto *reindex = only_statement<ReindexStmt>(text, T_ReindexStmt);
	return reindex && reindex->relation ? as_written(reindex->relation) : nullptr;
}

// "TABLE CONCURRENTLY t"; nullptr where the server has no such form.
char *reindex_concurrently(const char *text)
{
	auto *reindex = only_statement<ReindexStmt>(text, T_ReindexStmt);
	if (reindex == nullptr)
		return nullptr;
	switch (reindex->kind) {
		case REINDEX_OBJECT_INDEX:
			return psprintf("INDEX CONCURRENTLY %s", as_written(reindex->relation));
		case REINDEX_OBJECT_TABLE:
			return psprintf("TABLE CONCURRENTLY %s", as_written(reindex->relation));
		case REINDEX_OBJECT_SCHEMA:
			return psprintf("SCHEMA CONCURRENTLY %s", quote_identifier(reindex->name));
		case REINDEX_OBJECT_DATABASE:
			return psprintf("DATABASE CONCURRENTLY %s",
							reindex->name ? quote_identifier(reindex->name) : "");
		default:
			return nullptr; // SYSTEM
	}
}

// Does an expression use one of the columns that are assigned?
bool uses_assigned(Node *node, void *targets)
{
	if (node == nullptr)
		return false;
	if (IsA(node, ColumnRef)) {
		Node *last = static_cast<Node *>(llast(reinterpret_cast<ColumnRef *>(node)->fields));
		ListCell *cell;
		foreach (cell, static_cast<List *>(targets))
			if (!IsA(last, String) || strcmp(strVal(last), lfirst_node(ResTarget, cell)->name) == 0)
				return true;
		return false;
	}
	return pg::walk_raw_expression(node, uses_assigned, targets);
}

// Does an expression call a function of the server's that gives another value each time?
bool is_volatile(Node *node, void *context)
{
	if (node == nullptr)
		return false;
	if (IsA(node, FuncCall)) {
		auto *call = castNode(FuncCall, node);
		FuncCandidateList candidate = pg::functions_named(call->funcname, list_length(call->args));
		for (; candidate; candidate = candidate->next)
			if (candidate->oid < FirstNormalObjectId &&
				func_volatile(candidate->oid) == PROVOLATILE_VOLATILE)
				return true;
	}
	return pg::walk_raw_expression(node, is_volatile, context);
}

// Is it this table that the statement names, with its partitions, and not one behind a view?
bool is_named(const RangeVar *name, const Finding &finding)
{
	return name->inh && RangeVarGetRelid(name, NoLock, true) == finding.relation;
}

// The UPDATE that the text is, if it is plain: everything but SET list and table would not fit into
// what backfill() is given, nor does the table's alias; and a row that builds on what is written
// (n = n + 1), or that gets another value each time, can't be told from one still to be done.
const UpdateStmt *plain_update(const char *text, const Finding &finding)
{
	auto *update = only_statement<UpdateStmt>(text, T_UpdateStmt);
	if (update == nullptr)
		return nullptr;
	bool plain = update->fromClause == NIL && update->whereClause == nullptr &&
				 !pg::has_returning(update) && update->withClause == nullptr &&
				 update->relation->alias == nullptr && is_named(update->relation, finding);
	ListCell *cell;
	foreach (cell, update->targetList) {
		auto *target = lfirst_node(ResTarget, cell);
		plain = plain && target->indirection == NIL && !IsA(target->val, MultiAssignRef) &&
				!IsA(target->val, SetToDefault) &&
				!uses_assigned(target->val, update->targetList) &&
				!is_volatile(target->val, nullptr);
	}
	return plain ? update : nullptr;
}

// Of "name = expression" the expression.
const char *behind_equals(const char *assignment)
{
	const char *p = assignment;
	bool quoted = false;
	for (; *p && (quoted || *p != '='); p++)
		quoted = quoted != (*p == '"');
	return *p ? p + 1 : p;
}

// The SET list of a plain UPDATE, cut out of its text.
char *assignments_of(const char *text, const Finding &finding)
{
	const UpdateStmt *update = plain_update(text, finding);
	if (update == nullptr)
		return nullptr;
	return cut(text + linitial_node(ResTarget, update->targetList)->location, text + strlen(text));
}

// Without anything that could leave rows out, if not of this plan.
bool is_plain_delete(const char *text, const Finding &finding)
{
	auto *erase = only_statement<DeleteStmt>(text, T_DeleteStmt);
	return erase != nullptr && erase->whereClause == nullptr && erase->usingClause == NIL &&
		   erase->withClause == nullptr && is_named(erase->relation, finding);
}

// What makes of an expression the value that the column gets: "::text", or nothing where it is that
// already; nullptr where such values can't be compared.
const char *cast_to_column(Oid relation, const char *name, const Node *expression)
{
	Oid type;
	int32 typmod;
	Oid collation;
	AttrNumber column = get_attnum(relation, name);
	if (column == InvalidAttrNumber)
		return nullptr;
	get_atttypetypmodcoll(relation, column, &type, &typmod, &collation);
	if (!OidIsValid(lookup_type_cache(type, TYPECACHE_EQ_OPR)->eq_opr))
		return nullptr;
	auto *constant = IsA(expression, A_Const) ? castNode(A_Const, expression) : nullptr;
	bool fits = constant != nullptr && (constant->isnull || IsA(&constant->val, String) ||
										(IsA(&constant->val, Integer) && type == INT4OID));
	if (fits && (typmod == -1 || type == VARCHAROID))
		return "";
	return psprintf("::%s", format_type_with_typemod(type, typmod));
}

// The condition of the rows that have not yet what the SET list gives them.
char *unassigned_of(const char *text, const Finding &finding)
{
	const UpdateStmt *update = plain_update(text, finding);
	if (update == nullptr)
		return nullptr;
	StringInfoData condition;
	initStringInfo(&condition);
	int n = list_length(update->targetList);
	for (int i = 0; i < n; i++) {
		auto *target = list_nth_node(ResTarget, update->targetList, i);
		const char *end = i + 1 < n
							  ? text + list_nth_node(ResTarget, update->targetList, i + 1)->location
							  : text + strlen(text);
		const char *expression = behind_equals(cut(text + target->location, end));
		while (scanner_isspace(*expression))
			expression++;
		const char *cast = cast_to_column(finding.relation, target->name, target->val);
		if (cast == nullptr)
			return nullptr;
		appendStringInfo(&condition, "%s%s IS DISTINCT FROM (%s)%s", i > 0 ? " OR " : "",
						 quote_identifier(target->name), expression, cast);
	}
	return condition.data;
}

// One placeholder's value, without quotes around it; nullptr where the finding has none.
char *value_of(const Effects *effects, const Finding &finding, const char *name, int length)
{
	auto is = [name, length](const char *other) {
		return strlen(other) == static_cast<size_t>(length) && strncmp(name, other, length) == 0;
	};
	auto copied = [](const char *text) { return text ? pstrdup(text) : nullptr; };
	if (is("relation"))
		return qualified(finding.schema, finding.name);
	if (is("column"))
		return finding.column ? copied(quote_identifier(finding.column)) : nullptr;
	if (is("column_name"))
		return copied(finding.column);
	if (is("object"))
		return finding.object ? copied(quote_identifier(finding.object)) : nullptr;
	if (is("object_name"))
		return copied(finding.object);
	if (is("object_path"))
		return qualified(finding.schema, finding.object);
	if (is("definition"))
		return copied(finding.definition);
	if (is("statement"))
		return copied(effects->text);
	if (is("statement_concurrently"))
		return effects->text ? with_concurrently(effects->text) : nullptr;
	if (is("assignments"))
		return assignments_of(effects->text, finding);
	if (is("unassigned"))
		return unassigned_of(effects->text, finding);
	if (is("all_rows"))
		return is_plain_delete(effects->text, finding) ? pstrdup("true") : nullptr;
	if (is("parent"))
		return partition_names(effects->text).parent;
	if (is("partition"))
		return partition_names(effects->text).partition;
	if (is("bound"))
		return partition_names(effects->text).bound;
	if (is("bound_name") && finding.name)
		return copied(quote_identifier(makeObjectName(finding.name, nullptr, "bound")));
	if (is("reindex_target") && !OidIsValid(statement::table_of_toast(finding.relation)))
		return reindex_target(effects->text);
	if (is("reindex_concurrently"))
		return reindex_concurrently(effects->text);
	if (is("existing_constraint_name"))
		return finding.object && OidIsValid(get_relation_constraint_oid(finding.relation,
																		finding.object, true))
				   ? copied(finding.object)
				   : nullptr;
	if (is("assignment"))
		return finding.column ? psprintf("%s = %s", quote_identifier(finding.column),
										 finding.expression ? finding.expression : "…")
							  : nullptr;
	if (is("type"))
		return copied(finding.type);
	if (is("expression"))
		return copied(finding.expression);
	if (is("not_null_name") && finding.name && finding.column)
		return copied(quote_identifier(makeObjectName(finding.name, finding.column, "not_null")));
	return nullptr;
}

// Fills in a template; nullptr where something that it wants is missing.
char *fill(const char *pattern, const Effects *effects, const Finding &finding)
{
	static const char literal[] = "_literal";
	constexpr int n_literal = sizeof literal - 1;
	StringInfoData text;
	initStringInfo(&text);
	for (const char *p = pattern; *p; p++) {
		const char *end = *p == '{' ? strchr(p, '}') : nullptr;
		if (end == nullptr) {
			appendStringInfoChar(&text, *p);
			continue;
		}
		const char *name = p + 1;
		int length = static_cast<int>(end - name);
		bool quoted = length > n_literal && strncmp(end - n_literal, literal, n_literal) == 0;
		const char *value = value_of(effects, finding, name, quoted ? length - n_literal : length);
		if (value == nullptr)
			return nullptr;
		appendStringInfoString(&text, quoted ? quote_literal_cstr(value) : value);
		p = end;
	}
	return text.data;
}

bool function_exists(const char *name, int length, Oid schema)
{
	CatCList *list = SearchSysCacheList1(PROCNAMEARGSNSP, CStringGetDatum(pnstrdup(name, length)));
	bool found = false;
	for (int i = 0; i < list->n_members && !found; i++)
		found = reinterpret_cast<Form_pg_proc>(GETSTRUCT(&list->members[i]->tuple))->pronamespace ==
				schema;
	ReleaseSysCacheList(list);
	return found;
}

// Does this version have the functions that a template calls?
bool functions_exist(const char *pattern)
{
	static const char prefix[] = "safe_migrate.";
	Oid schema = get_namespace_oid("safe_migrate", true);
	for (const char *p = strstr(pattern, prefix); p; p = strstr(p + 1, prefix)) {
		const char *name = p + sizeof prefix - 1;
		int length = static_cast<int>(strspn(name, "abcdefghijklmnopqrstuvwxyz_"));
		if (name[length] == '(' && !function_exists(name, length, schema))
			return false;
	}
	return true;
}

// Several sub-commands, or several objects: one safe function does one of them.
bool is_compound(const char *text)
{
	if (auto *alter = only_statement<AlterTableStmt>(text, T_AlterTableStmt))
		return list_length(alter->cmds) > 1;
	auto *drop = only_statement<DropStmt>(text, T_DropStmt);
	return drop && list_length(drop->objects) > 1 && drop->behavior == DROP_RESTRICT;
}

bool is_cascade(const char *text)
{
	if (auto *drop = only_statement<DropStmt>(text, T_DropStmt))
		return drop->behavior == DROP_CASCADE;
	if (auto *drop = only_statement<DropOwnedStmt>(text, T_DropOwnedStmt))
		return drop->behavior == DROP_CASCADE;
	auto *alter = only_statement<AlterTableStmt>(text, T_AlterTableStmt);
	ListCell *cell;
	foreach (cell, alter ? alter->cmds : NIL) {
		auto *command = lfirst_node(AlterTableCmd, cell);
		if ((command->subtype == AT_DropColumn || command->subtype == AT_DropConstraint) &&
			command->behavior == DROP_CASCADE)
			return true;
	}
	return false;
}

// Does its CASCADE take along what RESTRICT, which the safe functions drop with, would stop at?
bool takes_along(const Effects *effects)
{
	for (int i = 0; i < effects->n; i++) {
		const Finding &finding = effects->findings[i];
		if (finding.cause == statement::Cause::drop_cascade ||
			(finding.cause == statement::Cause::drop_table && !finding.is_target))
			return is_cascade(effects->text);
	}
	return false;
}

// There is no safe function for the columns of a type, which its tables have, nor for a schema.
bool has_no_function(const char *text)
{
	auto *alter = only_statement<AlterTableStmt>(text, T_AlterTableStmt);
	return alter ? alter->objtype == OBJECT_TYPE
				 : only_statement<CreateSchemaStmt>(text, T_CreateSchemaStmt) != nullptr;
}

// Tables of which one can't be dropped without another, as a foreign key's: apply() drops them one
// by one.
bool are_tangled(const char *text)
{
	auto *drop = only_statement<DropStmt>(text, T_DropStmt);
	if (drop == nullptr || drop->removeType != OBJECT_TABLE || list_length(drop->objects) < 2)
		return false;
	ListCell *cell;
	foreach (cell, drop->objects) {
		Oid table =
			RangeVarGetRelid(makeRangeVarFromNameList(lfirst_node(List, cell)), NoLock, true);
		const ObjectAddress address = {RelationRelationId, table, 0};
		const statement::Dependents dependents =
			OidIsValid(table) ? statement::find_dependents(&address, 1) : statement::Dependents{};
		for (int i = 0; i < dependents.n; i++) {
			const statement::Dependent &dependent = dependents.items[i];
			if (!dependent.stands_alone() && !dependent.automatic &&
				dependent.object.objectSubId == 0)
				return true;
		}
	}
	return false;
}

// Has apply() a way for all that the statement would do?
bool can_be_applied(const Effects *effects)
{
	if (takes_along(effects))
		return false;
	for (int i = 0; i < effects->n; i++) {
		const Finding &finding = effects->findings[i];
		bool is_work = statement::grows_with_size(finding.effect) &&
					   statement::is_strong(finding.lock) &&
					   finding.exempt == statement::Exempt::no;
		if (is_work && (rule_of(finding.cause).instead == nullptr ||
						finding.cause == statement::Cause::add_column_constrained_domain))
			return false;
	}
	return true;
}

} // namespace

char *instead_of(const Effects *effects, const Finding &finding)
{
	using statement::Cause;
	if ((finding.cause == Cause::drop_table || finding.cause == Cause::drop_column ||
		 finding.cause == Cause::drop_constraint) &&
		takes_along(effects))
		return fill(rule_of(Cause::drop_cascade).plain, effects, finding);
	const Rule &rule = rule_of(finding.cause);
	const char *instead =
		has_no_function(effects->text) || are_tangled(effects->text) ? nullptr : rule.instead;
	constexpr const char *whole = "SELECT safe_migrate.apply({statement_literal});";
	if (instead && is_compound(effects->text) && can_be_applied(effects) && functions_exist(whole))
		return fill(whole, effects, finding);
	for (const char *pattern : {instead, rule.plain}) {
		if (pattern == nullptr || !functions_exist(pattern))
			continue;
		if (char *filled = fill(pattern, effects, finding))
			return filled;
	}
	return nullptr;
}

} // namespace safe_migrate::guard
