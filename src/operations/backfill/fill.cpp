// See fill.hpp.
#include "operations/backfill/fill.hpp"

#include "operations/backfill/parse.hpp"
#include "operations/backfill/resolve.hpp"
#include "operations/ddl/sql.hpp"
#include "statement/relations.hpp"

extern "C" {
#include "utils/builtins.h"
}

namespace safe_migrate::operations::backfill {

namespace {

// One assignment of an UPDATE.
char *assignment(const char *column, const char *fill)
{
	UserText text = user_text("fill", "", fill);
	text.enter();
	(void)parse_expression(text);
	text.leave();
	// a comment at its end must not take the parenthesis along
	return psprintf("%s = (%s\n)", quote_identifier(column), fill);
}

char *step_definition(Oid relation, const char *column, const char *fill)
{
	Target target = open_target(relation, RowAction::update);
	Request request = {RowAction::update, fill, nullptr, true, column};
	Resolved resolved = resolve(request, target);
	check_assigned_columns(target, resolved.assigned);
	check_row_security(target);
	check_rights(target, request.action, resolved.assigned, resolved.selected);
	char *definition = to_json(*resolved.definition);
	close_target(target);
	return definition;
}

} // namespace

char *fill_statement(Oid relation, const char *column, const char *fill)
{
	return psprintf("UPDATE %s SET %s WHERE %s", ddl::quoted_name(relation),
					assignment(column, fill), ddl::null_test_of(relation, column, true));
}

void check_may_fill(Oid relation)
{
	Target target = open_target(relation, RowAction::update);
	check_row_security(target);
	close_target(target);
}

void add_fill_step(ddl::Recipe *recipe, Oid relation, const char *column, const char *fill)
{
	ddl::RecipeStep *step =
		ddl::add_step(recipe, "backfill", fill_statement(relation, column, fill));
	step->definition = step_definition(relation, column, fill);
	step->description =
		psprintf("fill column %s of %s", quote_identifier(column), ddl::quoted_name(relation));
	step->effect = statement::Effect::scan;
	step->bytes = statement::heap_bytes(relation);
	ddl::add_lock(step, relation, statement::Lock::row_exclusive);
}

} // namespace safe_migrate::operations::backfill
