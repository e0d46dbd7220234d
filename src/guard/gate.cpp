// See gate.hpp.
#include "guard/gate.hpp"

#include "guard/catalog_look.hpp"
#include "guard/exempt_moves.hpp"
#include "guard/lock_budget.hpp"
#include "guard/lock_rights.hpp"
#include "guard/override.hpp"
#include "guard/policy.hpp"
#include "guard/recent_columns.hpp"
#include "guard/report.hpp"
#include "guard/transaction.hpp"
#include "pg/oid_places.hpp"
#include "pg/transaction.hpp"
#include "settings.hpp"
#include "statement/relations.hpp"

extern "C" {
#include "access/parallel.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "commands/extension.h"
#include "lib/stringinfo.h"
#include "parser/scansup.h"
#include "postmaster/bgworker.h"
#include "replication/logicalworker.h"
#include "tcop/utility.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
}

namespace safe_migrate::guard {

namespace {

using statement::Analysis;
using statement::Effects;
using statement::Finding;

// What is found and how grave it is, of one look at the statement.
struct Look {
	Level *levels; // of each finding
	Verdict verdict;
};

bool is_own_worker()
{
	return MyBgworkerEntry != nullptr &&
		   strcmp(MyBgworkerEntry->bgw_library_name, "safe_migrate") == 0;
}

// The statement itself would have failed by it as well, or somebody wants it to stop.
bool is_passed_on(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_QUERY_CANCELED ||
		   error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ||
		   error->sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED ||
		   error->sqlerrcode == ERRCODE_STATEMENT_TOO_COMPLEX ||
		   error->sqlerrcode == ERRCODE_ADMIN_SHUTDOWN;
}

// The first of equals tells more than what comes after it, unless it is about nothing but a lock.
bool is_graver(Level level, const Finding &finding, const Verdict &verdict)
{
	return level > verdict.level || (level == verdict.level && level != Level::allow &&
									 verdict.finding->cause == statement::Cause::lock &&
									 finding.cause != statement::Cause::lock);
}

void judge_all(const Effects *effects, Look *look)
{
	look->levels = static_cast<Level *>(palloc0(sizeof(Level) * (effects->n + 1)));
	look->verdict = {Level::allow, nullptr};
	for (int i = 0; i < effects->n; i++) {
		const Finding &finding = effects->findings[i];
		Level level = judge(finding, policy_for(finding));
		if (level != Level::allow && is_recent_column(finding))
			level = Level::allow;
		if (level != Level::allow && can_be_postponed(finding)) {
			postpone_rename(effects, finding, level);
			level = Level::allow;
		}
		look->levels[i] = level;
		if (is_graver(level, finding, look->verdict))
			look->verdict = {level, &finding};
	}
}

// Under enforce, by the policy for a strong lock on it.
bool wait_for_look(Passage *passage, Oid relation)
{
	if (!may_wait_for(&passage->effects, relation))
		return false;
	if (passage->nowait)
		ReThrowError(passage->failure);
	const TimestampTz begin = GetCurrentTimestamp();
	Finding finding = {};
	finding.relation = relation;
	finding.lock = statement::Lock::access_exclusive;
	Effects alone = {};
	alone.findings = &finding;
	alone.n = 1;
	LockBudget budget = budget_for(&alone);
	budget.lock_retry -= static_cast<int>(std::min<int64>(passage->waited_ms, budget.lock_retry));
	if (wait_to_look(relation, budget))
		passage->looked_at = lappend_oid(passage->looked_at, relation);
	passage->waited_ms += TimestampDifferenceMilliseconds(begin, GetCurrentTimestamp());
	return true;
}

// So that the statement's own lock is no upgrade.
void end_look(Passage *passage)
{
	ListCell *cell;
	foreach (cell, passage->looked_at)
		give_back_look(lfirst_oid(cell));
	passage->looked_at = NIL;
}

// The locks that others hold against a look are waited for outside of its subtransaction.  False:
// not by this user, whom the server will refuse the statement.
template <class F> bool look_politely(Passage *passage, F &&look)
{
	bool is_locked = false;
	bool may_wait = true;
	do {
		if (is_enforced() || passage->nowait)
			statement::begin_haste();
		passage->failure = look_at_catalog(look);
		const Oid in_the_way = statement::end_of_haste();
		is_locked = passage->failure != nullptr && OidIsValid(in_the_way) &&
					passage->failure->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE;
		if (is_locked)
			may_wait = wait_for_look(passage, in_the_way);
	} while (is_locked && may_wait);
	end_look(passage);
	return may_wait;
}

// Runs analyse and judges what it found, in a subtransaction whose errors are kept.
template <class Analyse> bool look_at(Passage *passage, Look *look, Analyse &&analyse)
{
	if (passage->memory == nullptr)
		passage->memory = AllocSetContextCreate(CurrentMemoryContext, "safe_migrate judging",
												ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(passage->memory);
	const bool was_free = look_politely(passage, [&] {
		passage->effects = {};
		analyse(&passage->effects);
		judge_all(&passage->effects, look);
	});
	MemoryContextSwitchTo(caller);
	if (was_free && passage->failure != nullptr && is_passed_on(passage->failure))
		ReThrowError(passage->failure);
	passage->was_judged = true;
	return passage->failure == nullptr;
}

List *append_once(List *list, const char *item)
{
	ListCell *cell;
	foreach (cell, list)
		if (strcmp(static_cast<const char *>(lfirst(cell)), item) == 0)
			return list;
	return lappend(list, const_cast<char *>(item));
}

// What an override lets pass: rules and relations of all that would be rejected.
void collect_overridden(Passage *passage, const Look &look)
{
	pg::OidPlaces known = {};
	for (int i = 0; i < passage->effects.n; i++) {
		const Finding &finding = passage->effects.findings[i];
		if (look.levels[i] != Level::reject)
			continue;
		passage->rules = append_once(passage->rules, rule_of(finding.cause).name);
		if (finding.name == nullptr ||
			(OidIsValid(finding.relation) && *known.put(finding.relation, i) != i))
			continue;
		passage->relations =
			lappend(passage->relations, quote_qualified_identifier(finding.schema, finding.name));
	}
}

OverrideRecord record_of(const Passage *passage)
{
	return {&passage->effects, passage->rules, passage->relations, passage->reason,
			passage->overridden_at};
}

// Raises SM001, or notes that an override lets it pass; warnings come later, once.
void reject_or_override(Passage *passage, const Look &look)
{
	if (look.verdict.level != Level::reject || !is_enforced() || passage->reason != nullptr)
		return;
	const char *reason = override_reason();
	if (reason == nullptr)
		report({&passage->effects, look.verdict.finding, look.levels, true, false,
				passage->is_queued});
	passage->reason = pstrdup(reason);
	passage->overridden_at = GetCurrentTimestamp();
	collect_overridden(passage, look);
	log_override(record_of(passage));
}

void warn(const Passage *passage, const Look &look)
{
	if (look.verdict.level == Level::allow || passage->reason != nullptr)
		return;
	bool would_be_error = look.verdict.level == Level::reject && !is_enforced();
	(void)pg::run_subtransaction([&] {
		report({&passage->effects, look.verdict.finding, look.levels, false, would_be_error,
				passage->is_queued});
	});
}

LockBudget budget_of(const Passage *passage)
{
	LockBudget budget = budget_for(&passage->effects);
	budget.lock_retry -= static_cast<int>(std::min<int64>(passage->waited_ms, budget.lock_retry));
	if (passage->reason != nullptr && !hold_limit_is_own())
		budget.max_hold = 0;
	return budget;
}

void log_unjudged(const Passage *passage)
{
	ereport(LOG, (errmsg("safe_migrate: a statement passed without having been judged: %s",
						 passage->failure->message),
				  errdetail("SQLSTATE %s", unpack_sql_state(passage->failure->sqlerrcode))));
}

void finish(const Passage *passage)
{
	if (passage->failure != nullptr)
		return log_unjudged(passage);
	if (passage->reason != nullptr && passage->effects.commits_inside)
		store_override(record_of(passage));
	if (!passage->effects.commits_inside)
		note_strong_locks(&passage->effects);
	note_recent_columns();
}

// What analyse_utility() fills in of a utility statement.
void name_plan(Effects *effects, const PlannedStmt *plan, const char *source, const char *fills)
{
	effects->command = fills != nullptr ? fills
										: GetCommandTagName(CreateCommandTag(const_cast<Node *>(
											  reinterpret_cast<const Node *>(plan))));
	if (source == nullptr)
		return;
	const char *begin = source + std::max(plan->stmt_location, 0);
	while (scanner_isspace(*begin))
		begin++;
	int length = plan->stmt_len > 0
					 ? plan->stmt_len - static_cast<int>(begin - source) + plan->stmt_location
					 : static_cast<int>(strlen(begin));
	while (length > 0 && (scanner_isspace(begin[length - 1]) || begin[length - 1] == ';'))
		length--;
	effects->text = pnstrdup(begin, std::max(length, 0));
}

} // namespace

bool is_enforced() { return settings::guard == GUARD_ENFORCE && !is_others_worker(); }

bool is_others_worker() { return MyBgworkerEntry != nullptr && !is_own_worker(); }

bool nobody_is_judged_here()
{
	return IsBinaryUpgrade || creating_extension || !IsUnderPostmaster || IsParallelWorker() ||
		   IsInParallelMode() || IsLogicalWorker() || !IsTransactionState() || RecoveryInProgress();
}

void pass_utility(Passage *passage, const Node *statement, const char *source, int location,
				  int length)
{
	Look look = {};
	bool again = false;
	passage->nowait =
		IsA(statement, LockStmt) && reinterpret_cast<const LockStmt *>(statement)->nowait;
	do {
		uint64 moment = is_enforced() ? catalog_moment() : 0;
		bool found = look_at(passage, &look, [&](Effects *effects) {
			Analysis analysis = {source, nullptr, effects, IsTransactionBlock(), true};
			statement::analyse_utility(&analysis, statement, location, length);
			add_transaction_findings(&analysis);
			add_exempt_moves(&analysis);
		});
		if (!found)
			return;
		reject_or_override(passage, look);
		again = is_enforced() && take_locks(&passage->effects, budget_of(passage), moment, again);
	} while (again);
	warn(passage, look);
	if (passage->reason != nullptr && !passage->effects.commits_inside)
		store_override(record_of(passage));
}

namespace {

// What is bad however short the lock is.
void keep_lasting_harm(Effects *effects)
{
	int n = 0;
	for (int i = 0; i < effects->n; i++)
		if (rule_of(effects->findings[i].cause).harm == Harm::always)
			effects->findings[n++] = effects->findings[i];
	effects->n = n;
	findings_moved(effects);
}

void pass_one_queued(Passage *passage, const char *sql, const RawStmt *raw)
{
	Look look = {};
	bool found = look_at(passage, &look, [&](Effects *effects) {
		Analysis analysis = {sql, nullptr, effects, false};
		statement::analyse_utility(&analysis, raw->stmt, raw->stmt_location, raw->stmt_len);
		add_exempt_moves(&analysis);
		keep_lasting_harm(effects);
	});
	if (!found)
		return log_unjudged(passage);
	reject_or_override(passage, look);
	warn(passage, look);
	if (passage->reason != nullptr)
		store_override(record_of(passage));
}

} // namespace

const char *pass_queued(const char *sql)
{
	if (settings::guard == GUARD_OFF || nobody_is_judged_here())
		return nullptr;
	const char *reason = nullptr;
	ListCell *cell;
	foreach (cell, pg_parse_query(sql)) {
		Passage passage = {};
		passage.is_queued = true;
		pass_one_queued(&passage, sql, lfirst_node(RawStmt, cell));
		if (passage.reason != nullptr)
			reason = passage.reason;
	}
	return reason;
}

void after_utility(Passage *passage)
{
	finish(passage);
	MemoryContextDelete(passage->memory);
}

void after_own_utility() { note_recent_columns(); }

void pass_plan(Passage *passage, const PlannedStmt *plan, const char *source, const char *fills)
{
	if (!extension_is_here())
		return;
	Look look = {};
	bool found = look_at(passage, &look, [&](Effects *effects) {
		Analysis analysis = {source, nullptr, effects, IsTransactionBlock()};
		name_plan(effects, plan, source, fills);
		statement::analyse_plan(&analysis, plan);
		add_row_findings(&analysis, plan, fills != nullptr);
	});
	if (found) {
		reject_or_override(passage, look);
		warn(passage, look);
		if (passage->reason != nullptr)
			store_override(record_of(passage));
	} else
		log_unjudged(passage);
	MemoryContextDelete(passage->memory);
}

} // namespace safe_migrate::guard
