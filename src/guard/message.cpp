// See message.hpp.
#include "guard/message.hpp"

#include "pg/compat_analysis.hpp"

extern "C" {
#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "commands/defrem.h"
#include "lib/stringinfo.h"
#include "nodes/parsenodes.h"
#include "parser/scansup.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

namespace safe_migrate::guard {

namespace {

using statement::Blocks;
using statement::Cause;
using statement::Effect;
using statement::Effects;
using statement::Finding;
using statement::Lock;

const char *lock_name(Lock lock)
{
	static const char *const names[] = {
		"no lock", "ACCESS SHARE",		  "ROW SHARE", "ROW EXCLUSIVE",	  "SHARE UPDATE EXCLUSIVE",
		"SHARE",   "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE"};
	return names[static_cast<int>(lock)];
}

const char *waiters(Lock lock)
{
	switch (statement::blocks(lock)) {
		case Blocks::reads_and_writes:
			return "reads and writes wait for it";
		case Blocks::writes:
			return "writes wait for it";
		case Blocks::nothing:
			break;
	}
	return "nobody waits for it";
}

char *qualified(const char *schema, const char *name)
{
	if (name == nullptr)
		return nullptr;
	return schema ? quote_qualified_identifier(schema, name) : pstrdup(quote_identifier(name));
}

const char *size_text(int64 bytes)
{
	if (bytes < 0)
		return "size unknown";
	return TextDatumGetCString(DirectFunctionCall1(pg_size_pretty, Int64GetDatum(bytes)));
}

char *sized(const Finding &finding)
{
	const char *name = qualified(finding.schema, finding.name);
	return psprintf("%s (%s)", name ? name : "a relation", size_text(finding.bytes));
}

void append_indexes(StringInfo text, int n)
{
	if (n == 1)
		appendStringInfoString(text, " and its index");
	else if (n > 1)
		appendStringInfo(text, " and its %d indexes", n);
}

void append_loss(StringInfo text, const Finding &finding)
{
	if (finding.column != nullptr)
		appendStringInfo(text, "it would drop column %s of %s", quote_identifier(finding.column),
						 sized(finding));
	else if (finding.cause == Cause::delete_without_where)
		appendStringInfo(text, "it would delete all rows of %s", sized(finding));
	else if (finding.cause == Cause::truncate)
		appendStringInfo(text, "it would empty %s", sized(finding));
	else
		appendStringInfo(text, "it would drop %s", sized(finding));
}

// Of what is no relation the catalog's own description is there: "function f(integer)".
void append_client_break(StringInfo text, const Finding &finding)
{
	const char *name = qualified(finding.schema, finding.name);
	appendStringInfoString(text, "clients that use ");
	if (finding.column != nullptr)
		appendStringInfo(text, "column %s", quote_identifier(finding.column));
	else if (finding.object != nullptr)
		appendStringInfoString(text, OidIsValid(finding.relation) ? quote_identifier(finding.object)
																  : finding.object);
	if (name != nullptr)
		appendStringInfo(text, "%s%s", finding.column || finding.object ? " of " : "", name);
	appendStringInfoString(text, " fail");
}

bool is_about_rows(Cause cause)
{
	return cause == Cause::update_without_where || cause == Cause::delete_without_where ||
		   cause == Cause::too_many_rows;
}

// What is done, without the lock.
void append_effect(StringInfo text, const Finding &finding)
{
	switch (finding.effect) {
		case Effect::scan:
			appendStringInfo(text,
							 finding.cause == Cause::update_without_where
								 ? "it would write all rows of %s"
								 : "it would scan %s",
							 sized(finding));
			return;
		case Effect::rewrite:
			appendStringInfo(text, "it would rewrite %s", sized(finding));
			append_indexes(text, finding.indexes);
			return;
		case Effect::index_build:
			if (finding.cause == Cause::reindex &&
				get_rel_relkind(finding.relation) == RELKIND_INDEX)
				appendStringInfo(text, "it would rebuild %s", sized(finding));
			else if (finding.indexes > 1)
				appendStringInfo(text, "it would build %d indexes on %s", finding.indexes,
								 sized(finding));
			else
				appendStringInfo(text, "it would build an index on %s", sized(finding));
			return;
		case Effect::data_loss:
			append_loss(text, finding);
			return;
		case Effect::client_break:
			append_client_break(text, finding);
			return;
		case Effect::metadata:
			break;
	}
	const char *name = qualified(finding.schema, finding.name);
	if (finding.cause == Cause::too_many_rows)
		appendStringInfo(text, "it would touch about " INT64_FORMAT " rows of %s", finding.rows,
						 name ? name : "a table");
	else if (statement::is_strong(finding.lock) && name)
		appendStringInfo(text, "it locks %s", name);
	else
		appendStringInfo(text, "it is about %s", name ? name : "the whole transaction");
}

// ---------------------------------------------------------------- templates

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

Oid parent_of(const Finding &finding)
{
	if (!OidIsValid(finding.relation) || !get_rel_relispartition(finding.relation))
		return InvalidOid;
	return get_partition_parent(finding.relation, true);
}

char *parent_name(const Effects *effects, const Finding &finding)
{
	Oid parent = parent_of(finding);
	if (OidIsValid(parent))
		return qualified(get_namespace_name(get_rel_namespace(parent)), get_rel_name(parent));
	// ATTACH: the parent is what the statement names first.
	for (int i = 0; i < effects->n; i++) {
		const Finding &other = effects->findings[i];
		if (other.is_target && other.relation != finding.relation)
			return qualified(other.schema, other.name);
	}
	return nullptr;
}

// The UPDATE that the text is, if it is plain: everything but SET list and table would not fit into
// what backfill() is given.
const UpdateStmt *plain_update(const char *text)
{
	List *parsed = text ? pg_parse_query(text) : NIL;
	if (list_length(parsed) != 1 || !IsA(linitial_node(RawStmt, parsed)->stmt, UpdateStmt))
		return nullptr;
	auto *update = castNode(UpdateStmt, linitial_node(RawStmt, parsed)->stmt);
	bool plain = update->fromClause == NIL && update->whereClause == nullptr &&
				 !pg::has_returning(update) && update->withClause == nullptr;
	ListCell *cell;
	foreach (cell, update->targetList) {
		auto *target = lfirst_node(ResTarget, cell);
		plain = plain && target->indirection == NIL && !IsA(target->val, MultiAssignRef) &&
				!IsA(target->val, SetToDefault);
	}
	return plain ? update : nullptr;
}

// From there to there, without the space, commas and semicolons around it.
char *cut(const char *begin, const char *end)
{
	while (end > begin && (scanner_isspace(end[-1]) || end[-1] == ';' || end[-1] == ','))
		end--;
	return pnstrdup(begin, end - begin);
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
char *assignments_of(const char *text)
{
	const UpdateStmt *update = plain_update(text);
	if (update == nullptr)
		return nullptr;
	return cut(text + linitial_node(ResTarget, update->targetList)->location, text + strlen(text));
}

// The condition of the rows that have not yet what the SET list gives them.
char *unassigned_of(const char *text)
{
	const UpdateStmt *update = plain_update(text);
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
		appendStringInfo(&condition, "%s%s IS DISTINCT FROM (%s)", i > 0 ? " OR " : "",
						 quote_identifier(target->name), expression);
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
		return assignments_of(effects->text);
	if (is("unassigned"))
		return unassigned_of(effects->text);
	if (is("parent"))
		return parent_name(effects, finding);
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

} // namespace

char *detail_of(const Finding &finding)
{
	StringInfoData text;
	initStringInfo(&text);
	append_effect(&text, finding);
	if (is_about_rows(finding.cause))
		appendStringInfoString(&text, ", which stay locked up to the end of the transaction");
	else if (finding.lock != Lock::none && finding.effect != Effect::client_break)
		appendStringInfo(&text, " under %s: %s", lock_name(finding.lock), waiters(finding.lock));
	if (finding.facts != nullptr)
		appendStringInfo(&text, "; %s", finding.facts);
	appendStringInfoChar(&text, '.');
	text.data[0] = pg_toupper(static_cast<unsigned char>(text.data[0]));
	return text.data;
}

char *instead_of(const Effects *effects, const Finding &finding)
{
	const Rule &rule = rule_of(finding.cause);
	for (const char *pattern : {rule.instead, rule.plain}) {
		if (pattern == nullptr || !functions_exist(pattern))
			continue;
		if (char *filled = fill(pattern, effects, finding))
			return filled;
	}
	return nullptr;
}

} // namespace safe_migrate::guard
