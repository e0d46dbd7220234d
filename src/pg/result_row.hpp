// The rows of functions that return a set, put together column by column.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "fmgr.h"
#include "funcapi.h"
#include "nodes/execnodes.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"
}

namespace safe_migrate::pg {

template <int n_columns> struct ResultRow {
	Datum values[n_columns];
	bool nulls[n_columns];
	int n;

	void add(Datum value)
	{
		Assert(n < n_columns);
		values[n] = value;
		nulls[n++] = false;
	}
	void add_null()
	{
		Assert(n < n_columns);
		values[n] = 0;
		nulls[n++] = true;
	}
	// nullptr and '' are NULL.
	void add_text(const char *text)
	{
		if (text != nullptr && text[0] != '\0')
			add(CStringGetTextDatum(text));
		else
			add_null();
	}
	// Negative: it is not known, NULL.
	void add_known(int64 value)
	{
		if (value >= 0)
			add(Int64GetDatum(value));
		else
			add_null();
	}
	void add_known(double value)
	{
		if (value >= 0)
			add(Float8GetDatum(value));
		else
			add_null();
	}

	// After InitMaterializedSRF(), with every column added.
	void put(ReturnSetInfo *result) const
	{
		Assert(n == n_columns);
		tuplestore_putvalues(result->setResult, result->setDesc, const_cast<Datum *>(values),
							 const_cast<bool *>(nulls));
	}
};

} // namespace safe_migrate::pg
