// Bookkeeping statements under the extension's owner: see sql.hpp.
#include "pg/guc.hpp"
#include "pg/own_statement.hpp"
#include "pg/sql.hpp"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
}

namespace safe_migrate::pg {

Oid extension_oid() { return get_extension_oid("safe_migrate", true); }

Oid extension_owner()
{
	Relation rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum("safe_migrate"));
	SysScanDesc scan = systable_beginscan(rel, ExtensionNameIndexId, true, nullptr, 1, &key);
	HeapTuple tuple = systable_getnext(scan);
	Oid owner = HeapTupleIsValid(tuple)
					? reinterpret_cast<Form_pg_extension>(GETSTRUCT(tuple))->extowner
					: InvalidOid;
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return owner;
}

void OwnerContext::enter()
{
	Oid owner = extension_owner();
	if (!OidIsValid(owner))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("extension \"safe_migrate\" does not exist in this database"),
						errhint("Run CREATE EXTENSION safe_migrate.")));
	GetUserIdAndSecContext(&saved_user, &saved_security);
	SetUserIdAndSecContext(owner, saved_security | SECURITY_LOCAL_USERID_CHANGE |
									  SECURITY_RESTRICTED_OPERATION);
	guc_nest = NewGUCNestLevel();
	set_in_level("search_path", "pg_catalog, pg_temp");
}

void OwnerContext::leave()
{
	AtEOXact_GUC(false, guc_nest);
	SetUserIdAndSecContext(saved_user, saved_security);
}

Arg arg_int8(int64 v) { return {INT8OID, Int64GetDatum(v), false}; }
Arg arg_int4(int32 v) { return {INT4OID, Int32GetDatum(v), false}; }
Arg arg_oid(Oid v) { return {OIDOID, ObjectIdGetDatum(v), false}; }
Arg arg_xid(TransactionId v) { return {XIDOID, TransactionIdGetDatum(v), false}; }
Arg arg_bool(bool v) { return {BOOLOID, BoolGetDatum(v), false}; }
Arg arg_float8(double v) { return {FLOAT8OID, Float8GetDatum(v), false}; }
Arg arg_null(Oid type) { return {type, static_cast<Datum>(0), true}; }

Arg arg_text(const char *v)
{
	return v ? Arg{TEXTOID, CStringGetTextDatum(v), false} : arg_null(TEXTOID);
}

Arg arg_texts(const List *v)
{
	auto *items = static_cast<Datum *>(palloc(sizeof(Datum) * (list_length(v) + 1)));
	int n = 0;
	ListCell *cell;
	foreach (cell, v)
		items[n++] = CStringGetTextDatum(static_cast<const char *>(lfirst(cell)));
	return {TEXTARRAYOID,
			PointerGetDatum(construct_array(items, n, TEXTOID, -1, false, TYPALIGN_INT)), false};
}

Arg arg_jsonb(const char *json)
{
	return json ? Arg{JSONBOID, DirectFunctionCall1(jsonb_in, CStringGetDatum(json)), false}
				: arg_null(JSONBOID);
}

Arg arg_interval_us(int64 us)
{
	auto *interval = static_cast<Interval *>(palloc0(sizeof(Interval)));
	interval->time = us;
	return {INTERVALOID, IntervalPGetDatum(interval), false};
}

Arg arg_time(int64 v) { return {TIMESTAMPTZOID, TimestampTzGetDatum(v), v == 0}; }

namespace {

constexpr int max_args = 24;
constexpr int cache_size = 96;

struct CachedPlan {
	const char *statement; // address of the literal
	SPIPlanPtr plan;
};
CachedPlan cache[cache_size];

// Plans are prepared once a backend; SPI re-plans them when something changes.
SPIPlanPtr plan_for(const char *statement, const Arg *args, int nargs)
{
	CachedPlan *slot = nullptr;
	for (CachedPlan &entry : cache) {
		if (entry.statement == statement && entry.plan)
			return entry.plan;
		if (!entry.plan && !slot)
			slot = &entry;
	}
	Oid types[max_args];
	for (int i = 0; i < nargs; i++)
		types[i] = args[i].type;
	SPIPlanPtr plan = SPI_prepare(statement, nargs, types);
	if (!plan)
		elog(ERROR, "could not prepare \"%s\": %s", statement, SPI_result_code_string(SPI_result));
	if (slot && SPI_keepplan(plan) == 0)
		*slot = {statement, plan};
	return plan;
}

} // namespace

uint64 query(const char *statement, const Arg *args, int nargs, RowCallback row, void *state)
{
	Assert(nargs <= max_args);
	Datum values[max_args];
	char nulls[max_args + 1];
	for (int i = 0; i < nargs; i++) {
		values[i] = args[i].value;
		nulls[i] = args[i].is_null ? 'n' : ' ';
	}
	nulls[nargs] = '\0';

	MemoryContext caller = CurrentMemoryContext;
	OwnerContext owner;
	owner.enter();
	PushActiveSnapshot(GetTransactionSnapshot());
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	SPIPlanPtr plan = plan_for(statement, args, nargs);
	mark_own_rows();
	int code = SPI_execute_plan(plan, values, nulls, false, 0);
	(void)take_own_rows_mark();
	if (code < 0)
		elog(ERROR, "could not run \"%s\": %s", statement, SPI_result_code_string(code));
	uint64 n = SPI_processed;
	if (row && SPI_tuptable) {
		SPITupleTable *table = SPI_tuptable;
		MemoryContext spi = MemoryContextSwitchTo(caller);
		for (uint64 i = 0; i < n; i++)
			row(state, table->vals[i], table->tupdesc);
		MemoryContextSwitchTo(spi);
	}
	SPI_finish();
	PopActiveSnapshot();
	owner.leave();
	MemoryContextSwitchTo(caller);
	return n;
}

uint64 execute(const char *statement, const Arg *args, int nargs)
{
	return query(statement, args, nargs, nullptr, nullptr);
}

bool column_is_null(HeapTuple tuple, TupleDesc desc, int column)
{
	bool is_null;
	(void)SPI_getbinval(tuple, desc, column, &is_null);
	return is_null;
}

namespace {

Datum column_datum(HeapTuple tuple, TupleDesc desc, int column)
{
	bool is_null;
	Datum d = SPI_getbinval(tuple, desc, column, &is_null);
	return is_null ? static_cast<Datum>(0) : d;
}

} // namespace

int64 column_int8(HeapTuple t, TupleDesc d, int c)
{
	return column_is_null(t, d, c) ? 0 : DatumGetInt64(column_datum(t, d, c));
}
int32 column_int4(HeapTuple t, TupleDesc d, int c) { return DatumGetInt32(column_datum(t, d, c)); }
Oid column_oid(HeapTuple t, TupleDesc d, int c) { return DatumGetObjectId(column_datum(t, d, c)); }
bool column_bool(HeapTuple t, TupleDesc d, int c) { return DatumGetBool(column_datum(t, d, c)); }
double column_float8(HeapTuple t, TupleDesc d, int c)
{
	return column_is_null(t, d, c) ? 0.0 : DatumGetFloat8(column_datum(t, d, c));
}

char *column_text(HeapTuple tuple, TupleDesc desc, int column)
{
	bool is_null;
	Datum value = SPI_getbinval(tuple, desc, column, &is_null);
	if (is_null)
		return nullptr;
	Oid output;
	bool varlena;
	getTypeOutputInfo(SPI_gettypeid(desc, column), &output, &varlena);
	return OidOutputFunctionCall(output, value);
}

} // namespace safe_migrate::pg
