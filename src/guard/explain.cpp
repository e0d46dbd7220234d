// safe_migrate.explain(sql): what each statement of a script would do, and what the guard would say
// to it.  Nothing is executed.  Each statement is analysed in a subtransaction of its own, so that
// one that would fail doesn't hide the others.
#include "guard/catalog_look.hpp"
#include "guard/exempt_moves.hpp"
#include "guard/explain_rows.hpp"
#include "guard/explain_sizes.hpp"
#include "guard/lock_budget.hpp"
#include "guard/message.hpp"
#include "guard/policy.hpp"
#include "guard/recent_columns.hpp"
#include "pg/boundary.hpp"
#include "pg/guc.hpp"
#include "pg/transaction.hpp"
#include "settings.hpp"
#include "statement/analysis.hpp"
#include "statement/relations.hpp"
#include "statement/overlay/overlay.hpp"
#include "statement/overlay/rows.hpp"

extern "C" {
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "nodes/parsenodes.h"
#include "storage/proc.h"
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
using statement::overlay::Overlay;

struct Script {
	const char *sql;
	List *statements; // RawStmt
	ReturnSetInfo *result;
	Overlay *overlay;
	HTAB *sizes; // of another database, or nullptr
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

// pg_dump writes two commands of psql's around its SQL; they are blanked, so that places stay.
void blank_restrict(char *sql)
{
	for (char *line = sql; line != nullptr; line = strchr(line, '\n')) {
		line += *line == '\n' ? 1 : 0;
		if (strncmp(line, "\\restrict ", 10) == 0 || strncmp(line, "\\unrestrict ", 12) == 0)
			memset(line, ' ', strcspn(line, "\n"));
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

// As the gate judges it.
// When columns were added here says nothing of the database that the sizes are of.
Level level_of(const Script &script, const Finding &finding)
{
	Level level = judge(finding, policy_for(finding));
	return level != Level::allow && script.sizes == nullptr && is_recent_column(finding)
			   ? Level::allow
			   : level;
}

Judged judge_finding(const Script &script, const Effects &effects, const Finding &finding)
{
	Judged judged = {level_of(script, finding), nullptr, finding.facts, nullptr};
	if (effects.fails != nullptr)
		return {std::max(judged.level, Level::warn), nullptr,
				psprintf("would fail: %s", effects.fails), nullptr};
	if (finding.cause == Cause::depends_on_earlier_statement) {
		judged.rule = rule_of(finding.cause).name;
		return judged;
	}
	if (finding.undecided != nullptr && judged.level != Level::allow)
		return {Level::warn, rule_of(finding.cause).name,
				psprintf("judged when it runs: %s", finding.undecided), nullptr};
	if (finding.exempt != Exempt::no && judged.level == Level::allow) {
		judged.reason = reason_of(finding.exempt);
		return judged;
	}
	if ((finding.cause != Cause::lock && finding.undecided == nullptr) ||
		judged.level != Level::allow)
		judged.rule = rule_of(finding.cause).name;
	if (judged.level == Level::allow)
		return judged;
	if (statement::overlay::is_rename_taken_back(script.overlay, script.statements, finding)) {
		judged.level = Level::allow;
		judged.reason = "the name is there again at the end of the transaction";
		return judged;
	}
	judged.reason = detail_of(finding);
	judged.instead = instead_of(&effects, finding);
	return judged;
}

void put_effects(const Script &script, int statement_no, const Effects &effects)
{
	if (effects.runs_code)
		put_remark(script.result, statement_no, effects.command,
				   {Level::warn, nullptr, "judged when it runs", nullptr});
	else if (effects.n == 0)
		put_remark(script.result, statement_no, effects.command,
				   {Level::allow, nullptr, nullptr, nullptr});
	for (int i = 0; i < effects.n; i++)
		put_finding(script.result, statement_no, effects.command, &effects.findings[i],
					judge_finding(script, effects, effects.findings[i]));
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

enum class Outcome : uint8_t { analysed, depends, fails };

// What a statement that can't be analysed gets: its error may be one of an object that an earlier
// statement of the script makes.
Outcome put_error(const Script &script, const RawStmt *raw, const ErrorData *error)
{
	const char *command = CreateCommandName(raw->stmt);
	int by = statement::overlay::names_changed_by(script.overlay, script.sql, raw);
	if (by == 0 || *script.overlay->fails) {
		const char *reason = *script.overlay->fails
								 ? psprintf("would fail: %s. %s", error->message, error->detail)
								 : psprintf("would fail: %s", error->message);
		put_remark(script.result, script.overlay->statement_no, command,
				   {Level::warn, nullptr, reason, nullptr});
		return Outcome::fails;
	}
	put_remark(script.result, script.overlay->statement_no, command,
			   {Level::warn, rule_of(Cause::depends_on_earlier_statement).name,
				psprintf("it depends on what statement %d does: %s", by, error->message), nullptr});
	return Outcome::depends;
}

// Waits for nobody's locks longer than one stay in a queue: then raises 55P03, with the names of
// who holds them where it is known which.
template <class F> ErrorData *look_briefly(HTAB *sizes, F &&look)
{
	const int stay =
		LockTimeout > 0 ? std::min(LockTimeout, settings::ddl_lock_try) : settings::ddl_lock_try;
	List *looked_at = NIL;
	ErrorData *error = nullptr;
	for (;;) {
		take_sizes_from(sizes);
		statement::begin_haste();
		error = look_at_catalog([&] {
			const int nest = NewGUCNestLevel();
			pg::set_in_level_ms("lock_timeout", stay);
			look();
			AtEOXact_GUC(true, nest);
		});
		const Oid in_the_way = statement::end_of_haste();
		take_sizes_from(nullptr);
		if (error == nullptr || !OidIsValid(in_the_way) ||
			error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
			break;
		if (wait_to_look(in_the_way, {stay, 0, stay, 0}))
			looked_at = lappend_oid(looked_at, in_the_way);
	}
	ListCell *cell;
	foreach (cell, looked_at)
		give_back_look(lfirst_oid(cell));
	return error;
}

Outcome analyse(const Script &script, const RawStmt *raw, Analysis *analysis)
{
	Overlay *overlay = script.overlay;
	ErrorData *error = look_briefly(script.sizes, [overlay, analysis, raw] {
		*analysis->effects = {};
		statement::overlay::analyse_in_script(overlay, analysis, raw);
		analysis->effects->runs_code |= statement::overlay::executes_prepared(raw->stmt);
		statement::overlay::judge_in_block(overlay, analysis, raw);
		add_exempt_moves(analysis);
	});
	if (error == nullptr)
		return Outcome::analysed;
	if (!is_about_statement(error) || list_length(script.statements) == 1)
		ReThrowError(error);
	return put_error(script, raw, error);
}

// What fails inside a transaction block has no effects to tell of.
bool is_out_of_place(const Script &script, const Effects &effects)
{
	if (!script.overlay->in_block || !effects.commits_inside || effects.runs_code)
		return false;
	put_remark(
		script.result, script.overlay->statement_no, effects.command,
		{Level::warn, nullptr, "would fail: it cannot run inside a transaction block", nullptr});
	return true;
}

void explain_statement(const Script &script, const RawStmt *raw)
{
	Effects effects = {};
	Analysis analysis = {};
	analysis.source = script.sql;
	analysis.effects = &effects;
	analysis.at_once = script.overlay->statement_no == 0; // the first
	Outcome outcome = analyse(script, raw, &analysis);
	if (outcome == Outcome::fails)
		return; // and changes nothing
	if (outcome == Outcome::depends)
		statement::overlay::note_unsure(script.overlay);
	if (outcome == Outcome::analysed && !is_out_of_place(script, effects))
		put_effects(script, script.overlay->statement_no, effects);
	if (effects.fails)
		return;
	statement::overlay::note_statement(script.overlay, script.sql, raw);
}

void explain_script(const Script &script)
{
	MemoryContext memory = AllocSetContextCreate(
		CurrentMemoryContext, "safe_migrate explain statement", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(memory);
	ListCell *cell;
	foreach (cell, script.statements) {
		CHECK_FOR_INTERRUPTS();
		explain_statement(script, lfirst_node(RawStmt, cell));
		MemoryContextReset(memory);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(memory);
}

void explain(FunctionCallInfo fcinfo, Jsonb *sizes)
{
	InitMaterializedSRF(fcinfo, 0);
	Script script = {};
	char *sql = text_to_cstring(PG_GETARG_TEXT_PP(0));
	blank_restrict(sql);
	script.sql = sql;
	script.result = reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo);
	script.statements = parse(script.sql);
	script.overlay = statement::overlay::begin_script();
	if (sizes != nullptr)
		script.sizes = read_sizes(sizes);
	explain_script(script);
	statement::overlay::end_script(script.overlay);
}

} // namespace
} // namespace safe_migrate::guard

SAFE_MIGRATE_FUNCTION(safe_migrate_explain)
{
	safe_migrate::guard::explain(fcinfo, nullptr);
	PG_RETURN_NULL();
}

SAFE_MIGRATE_FUNCTION(safe_migrate_explain_sizes)
{
	safe_migrate::guard::explain(fcinfo, PG_GETARG_JSONB_P(1));
	PG_RETURN_NULL();
}
