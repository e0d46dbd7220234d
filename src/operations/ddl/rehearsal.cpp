// See rehearsal.hpp.
#include "operations/ddl/rehearsal.hpp"

#include "operations/ddl/sql.hpp"
#include "pg/guc.hpp"
#include "pg/own_statement.hpp"
#include "pg/transaction.hpp"
#include "settings.hpp"

extern "C" {
#include "parser/parser.h"
}

namespace safe_migrate::operations::ddl {

namespace {

// What runs scripts and queries takes as long as they take.
bool runs_for_long(const Node *statement)
{
	return IsA(statement, CreateTableAsStmt) || IsA(statement, RefreshMatViewStmt) ||
		   IsA(statement, VacuumStmt) || IsA(statement, CreateExtensionStmt) ||
		   IsA(statement, AlterExtensionStmt) || IsA(statement, ImportForeignSchemaStmt) ||
		   IsA(statement, CreateTransformStmt);
}

bool is_harmless(const RecipeStep &step)
{
	if (strcmp(step.kind, "statement") != 0 || !step.caller_path ||
		statement::grows_with_size(step.effect))
		return false;
	for (int i = 0; i < step.n_locks; i++)
		if (statement::is_strong(step.locks[i].mode))
			return false;
	return !runs_for_long(linitial_node(RawStmt, raw_parser(step.sql, RAW_PARSE_DEFAULT))->stmt);
}

// Errors that tell of the statement and not of the moment.
bool is_about_statement(const ErrorData *error)
{
	switch (ERRCODE_TO_CATEGORY(error->sqlerrcode)) {
		case ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION:
		case ERRCODE_DATA_EXCEPTION:
		case ERRCODE_FEATURE_NOT_SUPPORTED:
		case ERRCODE_INVALID_CATALOG_NAME:
		case ERRCODE_INVALID_SCHEMA_NAME:
		case ERRCODE_DEPENDENT_PRIVILEGE_DESCRIPTORS_STILL_EXIST: // and objects
			return true;
		default:
			return false;
	}
}

void run_quietly(const Recipe &recipe)
{
	pg::set_local("client_min_messages", "error");
	pg::set_local_ms("lock_timeout", settings::ddl_lock_try);
	ListCell *cell;
	foreach (cell, recipe.steps) {
		const auto *step = static_cast<const RecipeStep *>(lfirst(cell));
		if (!is_harmless(*step))
			break;
		run_own_statement(step->sql, false);
	}
}

} // namespace

void rehearse(const Recipe &recipe)
{
	ErrorData *error = pg::try_undone([&] { run_quietly(recipe); });
	(void)pg::take_own_statement_mark(); // where the error came before it was a statement
	if (error && is_about_statement(error))
		ReThrowError(error);
}

} // namespace safe_migrate::operations::ddl
