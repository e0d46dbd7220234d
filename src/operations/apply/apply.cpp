// apply(), plan(), run(): ordinary DDL in, its steps out.  What follows a statement on the same
// table is planned when that one is done: it may depend on what came before.
#include "jobs/wait.hpp"
#include "operations/apply/check/check.hpp"
#include "operations/apply/earlier.hpp"
#include "operations/apply/later_step.hpp"
#include "operations/apply/names.hpp"
#include "operations/apply/script.hpp"
#include "operations/apply/translate.hpp"
#include "operations/ddl/sql.hpp"
#include "pg/arguments.hpp"
#include "pg/boundary.hpp"
#include "pg/guc.hpp"
#include "pg/json.hpp"
#include "pg/result_row.hpp"
#include "pg/transaction.hpp"
#include "statement/effect_names.hpp"
#include "statement/relations.hpp"

extern "C" {
#include "catalog/namespace.h"
#include "lib/stringinfo.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
}

namespace safe_migrate::operations::apply {

namespace {

// What the statement makes for the session that it runs in; nullptr: nothing.
const char *temporary_relation(const Node *statement)
{
	const RangeVar *name = nullptr;
	if (IsA(statement, CreateStmt))
		name = reinterpret_cast<const CreateStmt *>(statement)->relation;
	else if (IsA(statement, ViewStmt))
		name = reinterpret_cast<const ViewStmt *>(statement)->view;
	else if (IsA(statement, CreateSeqStmt))
		name = reinterpret_cast<const CreateSeqStmt *>(statement)->sequence;
	else if (IsA(statement, CreateTableAsStmt))
		name = reinterpret_cast<const CreateTableAsStmt *>(statement)->into->rel;
	bool is_temporary = name && (name->relpersistence == RELPERSISTENCE_TEMP ||
								 (name->schemaname && strcmp(name->schemaname, "pg_temp") == 0));
	return is_temporary ? name->relname : nullptr;
}

bool is_create(const Node *statement)
{
	switch (nodeTag(statement)) {
		case T_CreateStmt:
		case T_CreateTableAsStmt:
		case T_ViewStmt:
		case T_CreateSeqStmt:
		case T_IndexStmt:
		case T_CreateTrigStmt:
			return true;
		default:
			return false;
	}
}

bool overlaps(const List *a, const List *b)
{
	ListCell *cell;
	foreach (cell, a)
		if (list_member_oid(b, lfirst_oid(cell)))
			return true;
	return false;
}

// What takes back a statement that makes something is told by what is there: not as long as an
// earlier one may make or drop the same.
bool undo_depends(const ddl::Recipe &recipe, const ddl::Recipe &steps, const Unit &unit,
				  const Earlier &earlier)
{
	if (list_length(steps.steps) != 1)
		return false;
	const char *undo = static_cast<const ddl::RecipeStep *>(linitial(steps.steps))->undo;
	if (!undo)
		return earlier.drops && is_create(unit.statement);
	ListCell *cell;
	foreach (cell, recipe.steps) {
		const char *other = static_cast<const ddl::RecipeStep *>(lfirst(cell))->undo;
		if (other && strcmp(other, undo) == 0)
			return true;
	}
	return false;
}

// What comes before a unit: statements, and of its own ALTER TABLE other parts.
struct Before {
	Earlier statements;
	Earlier parts;
	Earlier all;
};

Before before_statement(const Earlier &earlier)
{
	Before before = {earlier, {}, earlier};
	for (List **list : {&before.all.relations, &before.all.names, &before.all.moved})
		*list = list_copy(*list);
	before.parts.parts = true;
	return before;
}

// An error may be one that they take away.
bool may_come_to_be(const Before &before, const ErrorData *error, const Unit &unit,
					const List *touched, bool checks)
{
	for (const Earlier *earlier : {&before.statements, &before.parts})
		if (may_come_to_be(*earlier, error, unit, overlaps(touched, earlier->relations), checks))
			return true;
	return false;
}

void note_part(Before *before, const Unit &unit, const List *touched)
{
	note_earlier(&before->parts, unit, touched);
	note_earlier(&before->all, unit, touched);
}

// The steps of one unit as far as they can be told now.  Looked at in a subtransaction: an error
// may be one that earlier statements of the script take away.
void plan_unit(ddl::Recipe *recipe, const Unit &unit, Before *before, bool predict)
{
	ddl::Recipe steps = {};
	List *touched = NIL;
	bool judged = false, checks = false;
	ErrorData *error = pg::run_subtransaction([&] {
		check_names(unit);
		touched = touched_relations(unit);
		judged = loses_or_breaks(unit);
		add_steps(&steps, unit, &checks);
	});
	if (error && !may_come_to_be(*before, error, unit, touched, checks))
		ReThrowError(error);
	bool touched_before = overlaps(touched, before->all.relations);
	if (judged)
		recipe->judged = recipe->judged ? psprintf("%s;\n%s", recipe->judged, unit.sql) : unit.sql;
	bool made_before = !error && !touched_before && undo_depends(*recipe, steps, unit, before->all);
	const char *names = names_of(unit, &before->all);
	bool later = error || touched_before || made_before;
	if (!later || (predict && !error && !made_before)) {
		expect_names(&steps, names);
		recipe->steps = list_concat(recipe->steps, steps.steps);
		recipe->owned = list_concat_unique_oid(recipe->owned, steps.owned);
	} else
		add_later_step(recipe, unit, names);
	note_part(before, unit, touched);
	recipe->relations = list_concat_unique_oid(recipe->relations, touched);
	if (!recipe->temporary)
		recipe->temporary = temporary_relation(unit.statement);
}

// The sub-commands of an ALTER TABLE that is one step: what the server would refuse of each.
void check_parts(const Unit &unit, const Earlier &earlier)
{
	Before before = before_statement(earlier);
	ListCell *cell;
	foreach (cell, unit.parts) {
		const auto *part = static_cast<const Unit *>(lfirst(cell));
		List *touched = NIL;
		bool checks = false;
		ErrorData *error = pg::try_undone([&] {
			ddl::Recipe steps = {};
			pg::set_local("client_min_messages", "error"); // notices are the recipes'
			touched = touched_relations(*part);
			add_steps(&steps, *part, &checks);
		});
		if (error && !may_come_to_be(before, error, *part, touched, checks))
			ReThrowError(error);
		note_part(&before, *part, touched);
	}
}

// Does a later statement of the script say the value that the unit adds to an enum?  It can be used
// once it is committed: not in the same transaction.
bool is_value_used(const List *units, const Unit &unit)
{
	if (!IsA(unit.statement, AlterEnumStmt))
		return false;
	const auto *alter = castNode(AlterEnumStmt, unit.statement);
	if (alter->oldVal)
		return false;
	char *written = ddl::literal(alter->newVal) + 1;
	written[strlen(written) - 1] = '\0';
	ListCell *cell;
	foreach (cell, units) {
		const auto *other = static_cast<const Unit *>(lfirst(cell));
		if (other->number > unit.number && strstr(other->sql, written))
			return true;
	}
	return false;
}

// The statements as they were written, for inline work.
List *plain_statements(const List *units)
{
	List *plain = NIL;
	ListCell *cell;
	foreach (cell, units) {
		const auto *unit = static_cast<const Unit *>(lfirst(cell));
		if (!can_be_inline(*unit) || is_value_used(units, *unit))
			return NIL;
		plain = lappend(plain, const_cast<char *>(unit->sql));
	}
	return plain;
}

// The schemas in which names are found and made: the same text means other tables elsewhere.
char *path_now()
{
	StringInfoData path;
	initStringInfo(&path);
	ListCell *cell;
	foreach (cell, fetch_search_path(false))
		if (const char *schema = get_namespace_name(lfirst_oid(cell)))
			appendStringInfo(&path, "%s%s", path.len > 0 ? ", " : "", quote_identifier(schema));
	return path.data;
}

ddl::Recipe make_recipe(const char *ddl, bool predict)
{
	ddl::Recipe recipe = {};
	recipe.kind = "apply";
	recipe.definition_text = ddl;
	recipe.search_path = path_now();
	List *units = read_script(ddl);
	Earlier earlier = {};
	UnitContext context = {};
	ListCell *cell;
	foreach (cell, units) {
		auto *unit = static_cast<Unit *>(lfirst(cell));
		unit->is_queued = !predict;
		context.enter(*unit, units);
		if (unit->parts != NIL)
			check_parts_together(castNode(AlterTableStmt, unit->statement));
		bool apart = unit->parts != NIL && !is_brief_as_one(*unit);
		if (unit->parts != NIL && !apart)
			check_parts(*unit, earlier);
		List *steps = apart ? unit->parts : list_make1(unit);
		Before before = before_statement(earlier);
		ListCell *part;
		foreach (part, steps)
			plan_unit(&recipe, *static_cast<const Unit *>(lfirst(part)), &before, predict);
		earlier = before.all;
		context.leave();
	}
	// no relation by its oid: a second call is known by the text alone
	recipe.relation_name =
		recipe.relations != NIL ? ddl::quoted_name(linitial_oid(recipe.relations)) : "";
	recipe.plain = plain_statements(units);
	return recipe;
}

jobs::JobId apply(const char *ddl, const Options &options)
{
	ddl::Recipe named = {};
	named.kind = "apply";
	named.definition_text = ddl;
	named.search_path = path_now();
	named.relation_name = "";
	jobs::JobId id = ddl::find_earlier(named, options);
	if (id != 0)
		return id;
	return ddl::carry_out(make_recipe(ddl, false), options);
}

// ---------------------------------------------------------------- plan()

statement::Lock strongest(const ddl::RecipeStep &step)
{
	statement::Lock lock = statement::Lock::none;
	for (int i = 0; i < step.n_locks; i++)
		lock = Max(lock, step.locks[i].mode);
	return lock;
}

void put_row(ReturnSetInfo *result, int number, const ddl::RecipeStep &step)
{
	pg::ResultRow<9> row = {};
	statement::Lock lock = strongest(step);
	row.add(Int32GetDatum(number));
	row.add_text(step.sql ? step.sql : step.description);
	row.add_text(name_of(lock));
	row.add_text(name_of(blocks(lock)));
	row.add_text(name_of(step.effect));
	row.add_known(step.bytes);
	row.add(BoolGetDatum(step.undo != nullptr));
	row.add_text(step.undo);
	row.add_text(step.kind);
	row.put(result);
}

} // namespace

} // namespace safe_migrate::operations::apply

SAFE_MIGRATE_OPERATION(safe_migrate_apply)
{
	using namespace safe_migrate::operations;
	begin_call(fcinfo, "apply()", {"ddl"});
	PG_RETURN_INT64(apply::apply(text_to_cstring(PG_GETARG_TEXT_PP(0)), read_options(fcinfo, 1)));
}

SAFE_MIGRATE_OPERATION(safe_migrate_plan)
{
	using namespace safe_migrate::operations;
	safe_migrate::pg::refuse_null(fcinfo, 0, "ddl");
	InitMaterializedSRF(fcinfo, 0);
	ddl::Recipe recipe = apply::make_recipe(text_to_cstring(PG_GETARG_TEXT_PP(0)), true);
	int number = 0;
	ListCell *cell;
	foreach (cell, recipe.steps)
		apply::put_row(reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo), ++number,
					   *static_cast<const ddl::RecipeStep *>(lfirst(cell)));
	return static_cast<Datum>(0);
}

SAFE_MIGRATE_FUNCTION(safe_migrate_run)
{
	using namespace safe_migrate::operations;
	safe_migrate::jobs::commit_and_wait(fcinfo, "ddl", 3, [](FunctionCallInfo call) {
		begin_call(call, "run()", {"ddl"});
		return DatumGetInt64(with_plain_names(call, safe_migrate_apply_operation));
	});
	PG_RETURN_VOID();
}
