// See report.hpp.
#include "guard/report.hpp"

#include "guard/gate.hpp"
#include "guard/message.hpp"
#include "guard/override.hpp"
#include "pg/sqlstates.hpp"
#include "pg/transaction.hpp"
#include "settings.hpp"

extern "C" {
#include "lib/stringinfo.h"
#include "utils/builtins.h"
}

namespace safe_migrate::guard {

namespace {

constexpr int most_details = 5;

// The deciding finding, then the others that are not allowed.
char *details_of(const Report &report)
{
	StringInfoData text;
	initStringInfo(&text);
	appendStringInfoString(&text, detail_of(*report.deciding));
	int shown = 1, more = 0; // of very many findings, not each is put in words
	for (int i = 0; i < report.effects->n; i++) {
		const statement::Finding &finding = report.effects->findings[i];
		if (&finding == report.deciding || report.levels[i] == Level::allow)
			continue;
		if (shown >= most_details) {
			more++;
			continue;
		}
		const char *line = detail_of(finding);
		if (strstr(text.data, line) != nullptr)
			continue;
		appendStringInfo(&text, "\n%s", line);
		shown++;
	}
	if (more > 0)
		appendStringInfo(&text, "\n… and %d more.", more);
	return text.data;
}

void append_override(StringInfo text)
{
	if (may_override()) {
		appendStringInfoString(text,
							   "To do it all the same, first in the same transaction: SET LOCAL "
							   "safe_migrate.override = '… the reason …';");
		return;
	}
	const char *who = who_may_override();
	appendStringInfo(text, "To do it all the same, ask %s%s for an override.",
					 who ? who : "a superuser", who ? " or a superuser" : "");
}

char *hint_of(const Report &report)
{
	StringInfoData text;
	initStringInfo(&text);
	const char *instead = nullptr;
	if (!report.is_queued)
		(void)pg::run_subtransaction( // a verdict must not fail by what it recommends
			[&] { instead = instead_of(report.effects, *report.deciding); });
	if (instead != nullptr)
		appendStringInfo(&text, "Instead:\n%s\n", instead);
	if (report.is_error || (report.would_be_error && !is_others_worker()))
		append_override(&text);
	else if (text.len > 0)
		text.data[--text.len] = '\0';
	return text.data;
}

} // namespace

namespace {

const char *said_elsewhere()
{
	if (settings::guard == GUARD_ENFORCE)
		return _("A session would get an error.");
	return is_others_worker() ? _("In a session safe_migrate.guard = enforce would reject it.")
							  : _("safe_migrate.guard = enforce would reject it.");
}

} // namespace

void report(const Report &report)
{
	const statement::Finding &finding = *report.deciding;
	const Rule &rule = rule_of(finding.cause);
	const char *detail = details_of(report);
	const char *hint = hint_of(report);
	if (report.would_be_error)
		detail = psprintf("%s\n%s", detail, said_elsewhere());
	auto name = [](int field, const char *value) {
		return value ? err_generic_string(field, value) : 0;
	};
	ereport(report.is_error ? ERROR : WARNING,
			(errcode(pg::errcode_not_safe),
			 errmsg("%s is not safe: %s", report.effects->command, rule.problem),
			 errdetail_internal("%s", detail), hint[0] ? errhint("%s", hint) : 0,
			 name(PG_DIAG_CONSTRAINT_NAME, rule.name), name(PG_DIAG_SCHEMA_NAME, finding.schema),
			 name(PG_DIAG_TABLE_NAME, finding.name), name(PG_DIAG_COLUMN_NAME, finding.column)));
}

} // namespace safe_migrate::guard
