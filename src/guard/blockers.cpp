// See blockers.hpp.
#include "guard/blockers.hpp"

#include "pg/lock_table.hpp"

extern "C" {
#include "catalog/objectaddress.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
}

namespace safe_migrate::guard {

namespace {

constexpr int most_named = 5;
constexpr int longest_query = 200;

void add_query(StringInfo text, const char *query)
{
	const int length = static_cast<int>(strlen(query));
	if (length <= longest_query)
		appendStringInfo(text, ": %s", query);
	else
		appendStringInfo(text, ": %.*s…", pg_mbcliplen(query, length, longest_query), query);
}

// One sentence, without its full stop where a query ends it.
void add_holder(StringInfo text, pg::LockHolder *holder)
{
	pg::describe_holder(holder);
	if (holder->pid == 0) {
		if (holder->gid != nullptr)
			appendStringInfo(text, _("Prepared transaction \"%s\" holds a conflicting lock."),
							 holder->gid);
		else
			appendStringInfoString(text, _("A prepared transaction held a conflicting lock; it has "
										   "ended meanwhile."));
		return;
	}
	if (holder->wraparound) {
		appendStringInfo(
			text,
			_("Process %d is an autovacuum that prevents transaction ID wraparound: it "
			  "does not yield to anybody."),
			holder->pid);
		return;
	}
	appendStringInfo(text, _("Process %d"), holder->pid);
	if (holder->autovacuum)
		appendStringInfoString(text, _(" (an autovacuum)"));
	else if (holder->user != nullptr)
		appendStringInfo(text, _(" (user \"%s\", application \"%s\")"), holder->user,
						 holder->application != nullptr ? holder->application : "");
	appendStringInfoString(text, _(" holds a conflicting lock"));
	if (holder->age_ms >= 0)
		appendStringInfo(text, _(", in a transaction of %s"), format_duration(holder->age_ms));
	if (holder->state != nullptr)
		appendStringInfo(text, ", %s", holder->state);
	if (holder->query != nullptr)
		add_query(text, holder->query);
	else
		appendStringInfoChar(text, '.');
}

// Whoever has to go first: the oldest; of unknown age last.
void sort_by_age(pg::LockHolder *holders, int n)
{
	std::sort(holders, holders + n,
			  [](const pg::LockHolder &a, const pg::LockHolder &b) { return a.age_ms > b.age_ms; });
}

// Those who hold locks against the first one of the list, from `which` on, that anybody is in the
// way of.
char *blockers_of(const WantedLocks &wanted, int which, const pg::LockHolder **first)
{
	StringInfoData text;
	initStringInfo(&text);
	*first = nullptr;
	for (int i = 0; i < wanted.n && *first == nullptr; i++) {
		const WantedLock &lock = wanted.entries[(which + i) % wanted.n];
		int n = 0;
		pg::LockHolder *holders =
			pg::conflicting_holders(lock.relation, lock.mode, &n, lock.class_id);
		sort_by_age(holders, n);
		for (int k = 0; k < std::min(n, most_named); k++) {
			if (k > 0)
				appendStringInfoChar(&text, '\n');
			add_holder(&text, &holders[k]);
		}
		if (n > most_named)
			appendStringInfo(&text, _("\nAnd %d more."), n - most_named);
		if (n > 0)
			*first = &holders[0];
	}
	if (*first == nullptr)
		appendStringInfoString(&text, _("Those who held conflicting locks are gone meanwhile."));
	return text.data;
}

const char *hint_for(const pg::LockHolder *holder)
{
	if (holder == nullptr)
		return _("Run the statement again.");
	if (holder->wraparound)
		return _("Wait until it has ended; pg_stat_progress_vacuum shows how far it is.");
	if (holder->pid == 0 && holder->gid == nullptr)
		return _("Run the statement again.");
	if (holder->pid == 0) {
		const char *gid = quote_literal_cstr(holder->gid);
		return psprintf(_("End it by COMMIT PREPARED %s; or ROLLBACK PREPARED %s; and run the "
						  "statement again."),
						gid, gid);
	}
	return psprintf(
		_("Run the statement again when that transaction has ended. If it is not needed: SELECT "
		  "pg_terminate_backend(%d);"),
		holder->pid);
}

} // namespace

pg::Obstacles look_for_obstacles(const WantedLocks &wanted, MemoryContext memory,
								 pg::PausedWait *awaited)
{
	MemoryContext caller = MemoryContextSwitchTo(memory);
	pg::Obstacles all = {0, 0, -1};
	*awaited = {};
	for (int i = 0; i < wanted.n; i++) {
		const WantedLock &lock = wanted.entries[i];
		const int before = all.holders;
		pg::add_obstacles(lock.relation, lock.mode, &all, lock.class_id);
		if (all.holders > before)
			pg::add_awaited(awaited, lock.relation, lock.mode, lock.class_id);
	}
	MemoryContextSwitchTo(caller);
	return all;
}

void tell_blockers(const WantedLocks &wanted, int64 elapsed_ms)
{
	const pg::LockHolder *first = nullptr;
	char *blockers = blockers_of(wanted, 0, &first);
	if (first == nullptr)
		return;
	ereport(NOTICE, (errmsg("waiting for a lock since %s, outside of its queue",
							format_duration(elapsed_ms)),
					 errdetail_internal("%s", blockers)));
}

void report_no_lock(const WantedLocks &wanted, int which, int64 elapsed_ms)
{
	const WantedLock &lock = wanted.entries[which];
	const pg::LockHolder *first = nullptr;
	char *blockers = blockers_of(wanted, which, &first);
	const char *hint = hint_for(first);

	if (OidIsValid(lock.class_id)) {
		const ObjectAddress object = {lock.class_id, lock.relation, 0};
		const char *description = getObjectDescription(&object, true);
		ereport(ERROR, (errcode(ERRCODE_LOCK_NOT_AVAILABLE),
						errmsg("no %s lock on %s within %s", pg::lock_mode_name(lock.mode),
							   description != nullptr ? description : "an object",
							   format_duration(elapsed_ms)),
						errdetail_internal("%s", blockers), errhint("%s", hint)));
	}
	ereport(ERROR, (errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					errmsg("no %s lock on \"%s.%s\" within %s", pg::lock_mode_name(lock.mode),
						   lock.schema, lock.name, format_duration(elapsed_ms)),
					errdetail_internal("%s", blockers), errhint("%s", hint),
					err_generic_string(PG_DIAG_SCHEMA_NAME, lock.schema),
					err_generic_string(PG_DIAG_TABLE_NAME, lock.name)));
	pg_unreachable();
}

char *format_duration(int64 ms)
{
	if (ms < 1000)
		return psprintf(INT64_FORMAT " ms", ms);
	if (ms < 120 * 1000)
		return psprintf("%.1f s", static_cast<double>(ms) / 1000);
	if (ms < INT64CONST(120) * 60 * 1000)
		return psprintf(INT64_FORMAT " min", ms / (60 * 1000));
	return psprintf(INT64_FORMAT " h", ms / (60 * 60 * 1000));
}

} // namespace safe_migrate::guard
