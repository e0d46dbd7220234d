// See explain_rows.hpp.
#include "guard/explain_rows.hpp"

#include "pg/result_row.hpp"
#include "statement/effect_names.hpp"

namespace safe_migrate::guard {

namespace {

using statement::Blocks;
using statement::Effect;
using statement::Finding;

using Row = pg::ResultRow<11>;

bool has_bytes(Effect effect)
{
	return statement::grows_with_size(effect) || effect == Effect::data_loss;
}

// The right half, with which the row is complete.
void put(Row *row, const Judged &judged, ReturnSetInfo *result)
{
	row->add_text(name_of(judged.level));
	row->add_text(judged.rule);
	row->add_text(judged.reason);
	row->add_text(judged.instead);
	row->put(result);
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
	row.add_text(statement::name_of(finding->lock));
	row.add_text(name_of(blocks(finding->lock)));
	row.add_text(name_of(finding->effect));
	row.add_known(has_bytes(finding->effect) ? static_cast<int64>(finding->bytes) : -1);
	put(&row, judged, result);
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
	put(&row, judged, result);
}

} // namespace safe_migrate::guard
