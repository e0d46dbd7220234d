// See explain_rows.hpp.  Text is put together as the server does in its messages: names quoted
// where they must be, modes as in pg_locks.
#include "guard/explain_rows.hpp"

extern "C" {
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"
}

namespace safe_migrate::guard {

namespace {

using statement::Blocks;
using statement::Effect;
using statement::Finding;
using statement::Lock;

constexpr int n_columns = 11;

struct Row {
	Datum values[n_columns];
	bool nulls[n_columns];
	int n;

	void add(Datum value)
	{
		values[n] = value;
		nulls[n++] = false;
	}
	void add_null()
	{
		values[n] = 0;
		nulls[n++] = true;
	}
	void add_text(const char *text)
	{
		if (text != nullptr && text[0] != '\0')
			add(CStringGetTextDatum(text));
		else
			add_null();
	}
};

const char *name_of(Blocks blocks)
{
	switch (blocks) {
		case Blocks::reads_and_writes:
			return "reads and writes";
		case Blocks::writes:
			return "writes";
		case Blocks::nothing:
			break;
	}
	return "nothing";
}

const char *name_of(Effect effect)
{
	switch (effect) {
		case Effect::scan:
			return "scan";
		case Effect::rewrite:
			return "rewrite";
		case Effect::index_build:
			return "index build";
		case Effect::client_break:
			return "client break";
		case Effect::data_loss:
			return "data loss";
		case Effect::metadata:
			break;
	}
	return "metadata";
}

const char *name_of(Lock lock)
{
	return lock == Lock::none ? nullptr
							  : GetLockmodeName(DEFAULT_LOCKMETHOD, static_cast<LOCKMODE>(lock));
}

bool has_bytes(Effect effect)
{
	return statement::grows_with_size(effect) || effect == Effect::data_loss;
}

void put_row(ReturnSetInfo *result, Row *row)
{
	tuplestore_putvalues(result->setResult, result->setDesc, row->values, row->nulls);
}

} // namespace

void put_finding(ReturnSetInfo *result, int statement_no, const char *command,
				 const Finding *finding, const Judged &judged)
{
	Row row = {};
	row.add(Int32GetDatum(statement_no));
	row.add_text(command);
	row.add_text(finding->name == nullptr
					 ? nullptr
					 : quote_qualified_identifier(finding->schema, finding->name));
	row.add_text(name_of(finding->lock));
	row.add_text(name_of(statement::blocks(finding->lock)));
	row.add_text(name_of(finding->effect));
	if (has_bytes(finding->effect) && finding->bytes >= 0)
		row.add(Int64GetDatum(finding->bytes));
	else
		row.add_null();
	row.add_text(name_of(judged.level));
	row.add_text(judged.rule);
	row.add_text(judged.reason);
	row.add_text(judged.instead);
	put_row(result, &row);
}

void put_remark(ReturnSetInfo *result, int statement_no, const char *command, const Judged &judged)
{
	Row row = {};
	row.add(Int32GetDatum(statement_no));
	row.add_text(command);
	row.add_null();
	row.add_null();
	row.add_text(name_of(Blocks::nothing));
	row.add_null();
	row.add_null();
	row.add_text(name_of(judged.level));
	row.add_text(judged.rule);
	row.add_text(judged.reason);
	row.add_text(judged.instead);
	put_row(result, &row);
}

} // namespace safe_migrate::guard
