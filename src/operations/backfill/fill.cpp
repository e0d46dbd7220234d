// See fill.hpp.
#include "operations/backfill/fill.hpp"

#include "operations/backfill/parse.hpp"
#include "operations/backfill/resolve.hpp"

extern "C" {
#include "utils/builtins.h"
}

namespace safe_migrate::operations::backfill {

char *fill_assignment(const char *column, const char *fill)
{
	UserText text = user_text("fill", "", fill);
	text.enter();
	(void)parse_expression(text);
	text.leave();
	// a comment at its end must not take the parenthesis along
	return psprintf("%s = (%s\n)", quote_identifier(column), fill);
}

char *fill_step_definition(Oid relation, const char *column, const char *fill)
{
	Target target = open_target(relation, RowAction::update);
	Request request = {RowAction::update, fill_assignment(column, fill), nullptr, true};
	Resolved resolved = resolve(request, target);
	check_assigned_columns(target, resolved.assigned);
	check_row_security(target);
	check_rights(target, request.action, resolved.assigned, resolved.selected);
	char *definition = to_json(*resolved.definition);
	close_target(target);
	return definition;
}

} // namespace safe_migrate::operations::backfill
