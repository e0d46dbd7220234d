// Constant statements on the extension's own tables, run through SPI as the
// extension's owner in a security-restricted context under an empty
// search_path.  Never pass user-written expressions through here.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "executor/spi.h"
#include "nodes/pg_list.h"
}

namespace safe_migrate::pg {

// Role and search_path of the extension's owner for the extent of a block that may
// end by ereport(ERROR): the transaction's abort restores them, so leave() is only
// called on the good path.  Objects are trivially destructible on purpose.
struct OwnerContext {
	Oid saved_user;
	int saved_security;
	int guc_nest;
	void enter(); // needs a transaction; errors when the extension is absent
	void leave();
};

// One argument of a bookkeeping statement.
struct Arg {
	Oid type;
	Datum value;
	bool is_null;
};
Arg arg_int8(int64 v);
Arg arg_int4(int32 v);
Arg arg_oid(Oid v);
Arg arg_xid(TransactionId v);
Arg arg_bool(bool v);
Arg arg_float8(double v);
Arg arg_text(const char *v);	 // nullptr = NULL
Arg arg_texts(const List *v);	 // text[] of char *
Arg arg_jsonb(const char *json); // nullptr = NULL
Arg arg_interval_us(int64 us);
Arg arg_time(int64 v); // a TimestampTz; 0 = NULL
Arg arg_null(Oid type);

// Runs `statement` (a string literal: plans are cached by its address) with $1…$n and
// returns the number of rows processed.  Enters and leaves OwnerContext and SPI itself,
// pushes a snapshot of its own where none is active.
uint64 execute(const char *statement, const Arg *args, int nargs);

template <size_t N> uint64 execute(const char *statement, const Arg (&args)[N])
{
	return execute(statement, args, static_cast<int>(N));
}

// As execute(), and hands every row to `row(state, tuple, tupdesc)` while SPI is
// connected; what must outlive the call is copied by the callback into the memory
// context that was current at the call (which is current inside the callback).
using RowCallback = void (*)(void *state, HeapTuple tuple, TupleDesc desc);
uint64 query(const char *statement, const Arg *args, int nargs, RowCallback row, void *state);

template <class F> uint64 query(const char *statement, const Arg *args, int nargs, F &&row)
{
	using Fn = std::remove_reference_t<F>;
	return query(
		statement, args, nargs,
		[](void *state, HeapTuple tuple, TupleDesc desc) {
			(*static_cast<Fn *>(state))(tuple, desc);
		},
		const_cast<void *>(static_cast<const void *>(&row)));
}

// Column reads for RowCallbacks; column numbers from 1.
bool column_is_null(HeapTuple tuple, TupleDesc desc, int column);
int64 column_int8(HeapTuple tuple, TupleDesc desc, int column);
int32 column_int4(HeapTuple tuple, TupleDesc desc, int column);
Oid column_oid(HeapTuple tuple, TupleDesc desc, int column);
bool column_bool(HeapTuple tuple, TupleDesc desc, int column);
double column_float8(HeapTuple tuple, TupleDesc desc, int column);
char *column_text(HeapTuple tuple, TupleDesc desc,
				  int column); // palloc'd, nullptr = NULL; any type by its output function

// The extension's oid, schema and owner in this database; InvalidOid when absent.
Oid extension_oid();
Oid extension_owner();

} // namespace safe_migrate::pg
