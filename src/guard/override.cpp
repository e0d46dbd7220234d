// See override.hpp.
#include "guard/override.hpp"

#include "pg/compat.hpp"
#include "pg/finally.hpp"
#include "pg/sql.hpp"
#include "pg/transaction.hpp"
#include "settings.hpp"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/catalog.h"
#include "catalog/pg_parameter_acl.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "parser/scansup.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/syscache.h"
}

namespace safe_migrate::guard {

namespace {

constexpr const char *parameter = "safe_migrate.override";

// Where a value was set; the server keeps it with the value, through savepoints too.
struct Origin {
	LocalTransactionId set_in;
	bool in_block;
	LocalTransactionId used_in; // set outside a block: the transaction of the next statement
	Oid definer;				// whose SECURITY DEFINER function has set it
};

Origin *origin = nullptr; // of the value that is in force

// Spaces of Unicode, and marks that take up no room.
bool is_unseen(uint32 character)
{
	struct Range {
		uint32 first, last;
	};
	constexpr Range unseen[] = {
		{0xA0, 0xA0},		{0xAD, 0xAD},		{0x115F, 0x1160},	{0x1680, 0x1680},
		{0x180E, 0x180E},	{0x61C, 0x61C},		{0x2000, 0x200F},	{0x2028, 0x202F},
		{0x205F, 0x206F},	{0x2800, 0x2800},	{0x3000, 0x3000},	{0x3164, 0x3164},
		{0xFE00, 0xFE0F},	{0xFEFF, 0xFEFF},	{0xFFA0, 0xFFA0},	{0xFFF9, 0xFFFB},
		{0x1BCA0, 0x1BCA3}, {0x1D173, 0x1D17A}, {0xE0000, 0xE0FFF},
	};
	for (const Range &range : unseen)
		if (character >= range.first && character <= range.last)
			return true;
	return false;
}

bool is_visible(const char *at)
{
	if (scanner_isspace(*at) || pg_dsplen(at) <= 0)
		return false;
	return GetDatabaseEncoding() != PG_UTF8 ||
		   !is_unseen(utf8_to_unicode(reinterpret_cast<const unsigned char *>(at)));
}

bool is_blank(const char *text)
{
	for (const char *at = text; *at; at += pg_mblen(at))
		if (is_visible(at))
			return false;
	return true;
}

// ALTER ROLE, ALTER DATABASE and CREATE FUNCTION … SET check their values as PGC_S_TEST; connection
// strings, files and what roles have come with sources of their own.
bool check(char **value, void **extra, GucSource source)
{
	if (source == PGC_S_DEFAULT)
		return true;
	if (source != PGC_S_SESSION) {
		GUC_check_errdetail(
			"It can only be set by SET or SET LOCAL, in the transaction it is for.");
		return false;
	}
	auto *made = static_cast<Origin *>(pg::guc_malloc_extra(sizeof(Origin)));
	if (made == nullptr)
		return false;
	*made = {pg::my_local_transaction_id(), IsTransactionBlock(), InvalidLocalTransactionId,
			 InLocalUserIdChange() ? GetUserId() : InvalidOid};
	*extra = made;
	return true;
}

void assign(const char *, void *extra) { origin = static_cast<Origin *>(extra); }

// A limit on the holding of locks that somebody SET in this session is meant for this migration:
// its value has an "extra", whatever it is.
bool own_limit = false;

bool check_limit(int *, void **extra, GucSource source)
{
	if (source == PGC_S_SESSION)
		*extra = pg::guc_malloc_extra(1);
	return source != PGC_S_SESSION || *extra != nullptr;
}

void assign_limit(int, void *extra) { own_limit = extra != nullptr; }

bool counts_now()
{
	if (origin == nullptr || (OidIsValid(origin->definer) && origin->definer != GetUserId()))
		return false; // what a function was trusted with is not its callers'
	LocalTransactionId now = pg::my_local_transaction_id();
	if (origin->set_in == now)
		return true;
	return !origin->in_block && origin->used_in == now && !IsTransactionBlock();
}

// By the server's function, not by MyProcPort: its header wants those of Kerberos.
const char *client_address()
{
	LOCAL_FCINFO(call, 0);
	InitFunctionCallInfoData(*call, nullptr, 0, InvalidOid, nullptr, nullptr);
	Datum address = inet_client_addr(call);
	return call->isnull ? nullptr : DatumGetCString(DirectFunctionCall1(inet_out, address));
}

} // namespace

const char *override_reason()
{
	const char *reason = settings::override_reason;
	if (reason == nullptr || is_blank(reason) || !counts_now())
		return nullptr;
	return reason;
}

void override_sees_statement()
{
	if (origin == nullptr || origin->in_block || origin->used_in != InvalidLocalTransactionId)
		return;
	LocalTransactionId now = pg::my_local_transaction_id();
	if (now != origin->set_in)
		origin->used_in = now;
}

void override_sees_failure()
{
	if (origin != nullptr && !origin->in_block && origin->used_in == InvalidLocalTransactionId)
		origin->used_in = origin->set_in; // as good as used
}

bool may_override()
{
	return pg_parameter_aclcheck(parameter, GetUserId(), ACL_SET) == ACLCHECK_OK;
}

// The ACL as pg_parameter_aclmask() reads it.
char *who_may_override()
{
	HeapTuple tuple = SearchSysCache1(PARAMETERACLNAME, CStringGetTextDatum(parameter));
	if (!HeapTupleIsValid(tuple))
		return nullptr;
	bool is_null = false;
	Datum datum = SysCacheGetAttr(PARAMETERACLNAME, tuple, Anum_pg_parameter_acl_paracl, &is_null);
	StringInfoData list;
	initStringInfo(&list);
	if (!is_null) {
		Acl *acl = DatumGetAclP(datum);
		for (int i = 0; i < ACL_NUM(acl); i++) {
			const AclItem &item = ACL_DAT(acl)[i];
			if ((ACLITEM_GET_PRIVS(item) & ACL_SET) == 0 ||
				item.ai_grantee == BOOTSTRAP_SUPERUSERID)
				continue;
			char *name = item.ai_grantee == ACL_ID_PUBLIC
							 ? pstrdup("public")
							 : GetUserNameFromId(item.ai_grantee, true);
			if (name == nullptr)
				continue;
			appendStringInfo(&list, "%s\"%s\"", list.len > 0 ? ", " : "", name);
		}
	}
	ReleaseSysCache(tuple);
	return list.len > 0 ? list.data : nullptr;
}

void log_override(const OverrideRecord &record)
{
	StringInfoData rules;
	initStringInfo(&rules);
	ListCell *cell;
	foreach (cell, record.rules)
		appendStringInfo(&rules, "%s%s", rules.len > 0 ? ", " : "",
						 static_cast<const char *>(lfirst(cell)));
	ereport(LOG,
			(errmsg("safe_migrate: %s of role \"%s\" passes by an override: %s",
					record.effects->command, GetUserNameFromId(GetUserId(), true), record.reason),
			 errdetail("Rules: %s. Session user: \"%s\", application: \"%s\", client: %s.",
					   rules.data, GetUserNameFromId(GetSessionUserId(), true),
					   application_name ? application_name : "",
					   client_address() ? client_address() : "local"),
			 errhidecontext(true)));
}

namespace {

// A script that brings its rows along is not kept whole.
constexpr int longest_statement = 100000;

const char *shortened(const char *text)
{
	const int length = text != nullptr ? static_cast<int>(strlen(text)) : 0;
	return length <= longest_statement
			   ? text
			   : psprintf("%.*s…", pg_mbcliplen(text, length, longest_statement), text);
}

// What is older than audit_history.  Never waits for another transaction that is about it, and is
// never the reason why a statement fails.
void prune_audit()
{
	if (settings::audit_history == 0 || IsolationUsesXactSnapshot())
		return;
	ErrorData *error = pg::run_subtransaction([] {
		const pg::Arg age[] = {pg::arg_interval_us(settings::audit_history * USECS_PER_MINUTE)};
		(void)pg::execute("DELETE FROM safe_migrate.override_log WHERE id IN (SELECT id FROM "
						  "safe_migrate.override_log WHERE at < pg_catalog.clock_timestamp() - $1 "
						  "ORDER BY at LIMIT 100 FOR UPDATE SKIP LOCKED)",
						  age);
	});
	if (error != nullptr && error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		ReThrowError(error);
}

} // namespace

void store_override(const OverrideRecord &record)
{
	pg::Arg args[] = {
		pg::arg_text(GetUserNameFromId(GetUserId(), true)),
		pg::arg_text(GetUserNameFromId(GetSessionUserId(), true)),
		pg::arg_oid(GetUserId()),
		pg::arg_text(application_name),
		pg::arg_text(client_address()),
		pg::arg_text(record.effects->command),
		pg::arg_text(shortened(record.effects->text)),
		pg::arg_texts(record.rules),
		pg::arg_texts(record.relations),
		pg::arg_text(record.reason),
		pg::arg_time(record.at),
	};
	// What passed is recorded where the statement itself may be run: in a transaction that is read
	// only, too.
	const bool read_only = XactReadOnly;
	XactReadOnly = XactReadOnly && RecoveryInProgress();
	pg::with_cleanup(
		[&] {
			(void)pg::execute(
				"INSERT INTO safe_migrate.override_log (role, session_role, role_oid, "
				"application, client, command, statement, rules, relations, reason, at) "
				"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, "
				"COALESCE($11, pg_catalog.clock_timestamp()))",
				args);
			prune_audit();
		},
		[&] { XactReadOnly = read_only; });
}

bool hold_limit_is_own() { return own_limit; }

void install_override()
{
	use_text_hooks(parameter, check, assign);
	use_int_hooks("safe_migrate.max_lock_hold", check_limit, assign_limit);
}

} // namespace safe_migrate::guard
