// See message.hpp.
#include "guard/message.hpp"

#include "pg/lock_table.hpp"

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
using statement::Finding;
using statement::Lock;

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
	if (finding.column != nullptr && finding.object != nullptr)
		appendStringInfo(text, "it would take attribute %s out of the values of column %s of %s",
						 quote_identifier(finding.object), quote_identifier(finding.column),
						 sized(finding));
	else if (finding.column != nullptr)
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
	if (finding.cause == Cause::enum_rename_value)
		appendStringInfo(text, "value %s of %s", quote_literal_cstr(finding.column),
						 finding.object);
	else if (finding.column != nullptr)
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
	if (finding.cause == Cause::work_after_strong_lock && !OidIsValid(finding.relation)) {
		appendStringInfoString(text, "it would fill a new table");
		return;
	}
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

} // namespace

char *detail_of(const Finding &finding)
{
	StringInfoData text;
	initStringInfo(&text);
	append_effect(&text, finding);
	if (is_about_rows(finding.cause))
		appendStringInfoString(&text, ", which stay locked up to the end of the transaction");
	else if (finding.lock != Lock::none && finding.effect != Effect::client_break)
		appendStringInfo(&text, " under %s: %s",
						 pg::lock_mode_name(static_cast<LOCKMODE>(finding.lock)),
						 waiters(finding.lock));
	if (finding.facts != nullptr)
		appendStringInfo(&text, "; %s", finding.facts);
	appendStringInfoChar(&text, '.');
	text.data[0] = pg_toupper(static_cast<unsigned char>(text.data[0]));
	return text.data;
}

} // namespace safe_migrate::guard
