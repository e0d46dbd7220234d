// Going over the rows of a catalog, as the server's own functions do where no index serves.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/skey.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "utils/fmgroids.h"
}

namespace safe_migrate::pg {

namespace detail {

template <class Form, class F>
void scan_catalog(Oid catalog, int n_keys, ScanKeyData *keys, F &look)
{
	Relation relation = table_open(catalog, AccessShareLock);
	TableScanDesc scan = table_beginscan_catalog(relation, n_keys, keys);
	while (HeapTuple tuple = heap_getnext(scan, ForwardScanDirection))
		look(*reinterpret_cast<Form *>(GETSTRUCT(tuple)));
	table_endscan(scan);
	table_close(relation, AccessShareLock);
}

} // namespace detail

// look(row) for each row; Form: its fixed part, FormData_pg_class, ….
template <class Form, class F> void for_each_row(Oid catalog, F &&look)
{
	detail::scan_catalog<Form>(catalog, 0, nullptr, look);
}

// The same for the rows in which that column, of type oid, has this value.
template <class Form, class F>
void for_each_row_with(Oid catalog, AttrNumber column, Oid value, F &&look)
{
	ScanKeyData key;
	ScanKeyInit(&key, column, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(value));
	detail::scan_catalog<Form>(catalog, 1, &key, look);
}

} // namespace safe_migrate::pg
