// safe_migrate.explain(sql): what each statement of a script would do, and what the guard would say
// to it.  Nothing is executed.  Each statement is analysed in a subtransaction of its own, so that
// one that would fail doesn't hide the others.
#include "guard/explain_rows.hpp"
#include "pg/boundary.hpp"
#include "pg/transaction.hpp"
#include "settings.hpp"
#include "statement/analysis.hpp"

extern "C" {
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "nodes/parsenodes.h"
#include "tcop/cmdtag.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
}

namespace safe_migrate::guard {

namespace {

using statement::Analysis;
using statement::Cause;
using statement::Effects;
using statement::Exempt;
using statement::Finding;

struct Script {
	const char *sql;
	List *statements; // RawStmt
	ReturnSetInfo *result;
};

// Mirrors sql_exec_error_callback() of functions.c: a syntax error is one of an internal query.
void on_syntax_error(void *arg)
{
	int position = geterrposition();
	if (position > 0) {
		errposition(0);
		internalerrposition(position);
		internalerrquery(static_cast<const char *>(arg));
	}
}

List *parse(const char *sql)
{
	ErrorContextCallback callback = {};
	callback.callback = on_syntax_error;
	callback.arg = const_cast<char *>(sql);
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	List *statements = pg_parse_query(sql);
	error_context_stack = callback.previous;
	return statements;
}

const char *reason_of(Exempt exempt)
{
	switch (exempt) {
		case Exempt::created_here:
			return "created in this session: nobody else uses it yet";
		case Exempt::temporary:
			return "temporary: nobody else can use it";
		case Exempt::system:
			return "a system catalog: not judged";
		case Exempt::empty:
			return "empty";
		case Exempt::no:
			break;
	}
	return nullptr;
}

Judged judge_finding(const Finding &finding)
{
	const Rule &rule = rule_of(finding.cause);
	Policy policy =
		default_policy(static_cast<int64>(settings::small_table_size) * 1024, no_levels());
	Judged judged = {judge(finding, policy), nullptr, finding.facts, nullptr};
	if (finding.exempt != Exempt::no)
		judged.reason = reason_of(finding.exempt);
	else if (finding.cause != Cause::lock) {
		judged.rule = rule.name;
		if (judged.level != Level::allow)
			judged.reason = rule.problem;
	}
	return judged;
}

void put_effects(const Script &script, int statement_no, const Effects &effects)
{
	if (effects.runs_code)
		return put_remark(script.result, statement_no, effects.command,
						  {Level::warn, nullptr, "judged when it runs", nullptr});
	if (effects.n == 0)
		return put_remark(script.result, statement_no, effects.command,
						  {Level::allow, nullptr, nullptr, nullptr});
	for (int i = 0; i < effects.n; i++)
		put_finding(script.result, statement_no, effects.command, &effects.findings[i],
					judge_finding(effects.findings[i]));
}

// A cancel, a lack of memory or a lock that can't be had says nothing about the statement.
bool is_about_statement(const ErrorData *error)
{
	switch (ERRCODE_TO_CATEGORY(error->sqlerrcode)) {
		case ERRCODE_INSUFFICIENT_RESOURCES:
		case ERRCODE_OPERATOR_INTERVENTION:
		case ERRCODE_SYSTEM_ERROR:
		case ERRCODE_TRANSACTION_ROLLBACK:
			return false;
		default:
			return error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE;
	}
}

void explain_statement(const Script &script, int statement_no, const RawStmt *raw)
{
	Effects effects = {};
	Analysis analysis = {script.sql, nullptr, &effects, false};
	effects.command = CreateCommandName(raw->stmt);
	if (statement::may_have_effects(raw->stmt)) {
		ErrorData *error = pg::run_subtransaction([&analysis, raw] {
			statement::analyse_utility(&analysis, raw->stmt, raw->stmt_location, raw->stmt_len);
		});
		if (error != nullptr) {
			if (!is_about_statement(error) || list_length(script.statements) == 1)
				ReThrowError(error);
			return put_remark(
				script.result, statement_no, effects.command,
				{Level::warn, nullptr, psprintf("would fail: %s", error->message), nullptr});
		}
	}
	put_effects(script, statement_no, effects);
}

void explain_script(const Script &script)
{
	MemoryContext memory = AllocSetContextCreate(
		CurrentMemoryContext, "safe_migrate explain statement", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(memory);
	int statement_no = 0;
	ListCell *cell;
	foreach (cell, script.statements) {
		CHECK_FOR_INTERRUPTS();
		explain_statement(script, ++statement_no, lfirst_node(RawStmt, cell));
		MemoryContextReset(memory);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(memory);
}

} // namespace
} // namespace safe_migrate::guard

SAFE_MIGRATE_FUNCTION(safe_migrate_explain)
{
	using namespace safe_migrate::guard;
	InitMaterializedSRF(fcinfo, 0);
	Script script = {};
	script.sql = text_to_cstring(PG_GETARG_TEXT_PP(0));
	script.result = reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo);
	script.statements = parse(script.sql);
	explain_script(script);
	PG_RETURN_NULL();
}
