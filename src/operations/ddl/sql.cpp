// See sql.hpp.
#include "operations/ddl/sql.hpp"

#include "pg/own_statement.hpp"
#include "pg/pinned_settings.hpp"

extern "C" {
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "nodes/parsenodes.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
}

namespace safe_migrate::operations::ddl {

char *quoted_name(Oid relation)
{
	const char *name = get_rel_name(relation);
	const char *schema = name ? get_namespace_name(get_rel_namespace(relation)) : nullptr;
	if (!schema)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("relation with OID %u does not exist", relation)));
	return quote_qualified_identifier(schema, name);
}

char *literal(const char *text) { return quote_literal_cstr(text); }

char *identifier(const char *name) { return pstrdup(quote_identifier(name)); }

char *null_test(const char *column, Oid type, bool is_null)
{
	const char *name = quote_identifier(column);
	if (type_is_rowtype(type))
		return psprintf("%s IS %sDISTINCT FROM NULL", name, is_null ? "NOT " : "");
	return psprintf("%s IS %sNULL", name, is_null ? "" : "NOT ");
}

char *null_test_of(Oid relation, const char *column, bool is_null)
{
	return null_test(column, get_atttype(relation, get_attnum(relation, column)), is_null);
}

char *constraint_text(Oid constraint)
{
	pg::PinnedSettings pinned = {};
	pinned.enter();
	char *shown = TextDatumGetCString(
		DirectFunctionCall1(pg_get_constraintdef, ObjectIdGetDatum(constraint)));
	pinned.leave();
	return shown;
}

void run_sql(const char *sql, bool pinned_path)
{
	pg::PinnedSettings pinned = {};
	if (pinned_path)
		pinned.enter_to_run();
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	int outcome = SPI_execute(sql, false, 0);
	if (outcome < 0)
		elog(ERROR, "%s: %s", sql, SPI_result_code_string(outcome));
	SPI_finish();
	if (pinned_path)
		pinned.leave();
}

void run_own_statement(const char *sql, bool pinned_path)
{
	ListCell *cell;
	foreach (cell, pg_parse_query(sql)) {
		const RawStmt *statement = lfirst_node(RawStmt, cell);
		const char *begin = sql + statement->stmt_location;
		int length =
			statement->stmt_len > 0 ? statement->stmt_len : static_cast<int>(strlen(begin));
		pg::mark_own_statement();
		run_sql(pnstrdup(begin, static_cast<Size>(length)), pinned_path);
	}
	(void)pg::take_own_statement_mark(); // of one that was no utility statement
}

namespace {

// Under the pinned path, read-only, the rows handed over while SPI is connected.
template <class F> void read_sql(const char *query, F &&read)
{
	pg::PinnedSettings pinned = {};
	pinned.enter_to_run();
	MemoryContext caller = CurrentMemoryContext;
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	int outcome = SPI_execute(query, false, 0);
	if (outcome != SPI_OK_SELECT)
		elog(ERROR, "%s: %s", query, SPI_result_code_string(outcome));
	for (uint64 i = 0; i < SPI_processed; i++) {
		char *value = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1);
		MemoryContext old = MemoryContextSwitchTo(caller);
		read(value);
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
	pinned.leave();
}

} // namespace

bool holds(const char *query)
{
	bool found = false;
	read_sql(query, [&](const char *value) { found = value && value[0] == 't'; });
	return found;
}

char *values_of(const char *query)
{
	StringInfoData text;
	initStringInfo(&text);
	read_sql(query, [&](const char *value) {
		if (text.len > 0)
			appendStringInfoString(&text, ", ");
		appendStringInfoString(&text, value ? value : "null");
	});
	return text.len > 0 ? text.data : nullptr;
}

} // namespace safe_migrate::operations::ddl
