// set_policy(): what a DBA says of one table or schema.  Who may call it, EXECUTE says.
#include "guard/policy.hpp"
#include "guard/rule_settings.hpp"
#include "pg/boundary.hpp"
#include "pg/sql.hpp"
#include "settings.hpp"

extern "C" {
#include "catalog/namespace.h"
#include "commands/trigger.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
}

namespace safe_migrate::guard {

namespace {

// Arguments of set_policy(), in their order.
enum Argument : int { relation, schema_name, mode, small_table_size, rule_levels, first_time };
constexpr const char *times[] = {"ddl_lock_try", "ddl_lock_retry", "ddl_lock_timeout",
								 "max_lock_hold"};
constexpr int n_times = lengthof(times);
constexpr int comment = first_time + n_times;

char *text_argument(FunctionCallInfo fcinfo, int argument)
{
	return PG_ARGISNULL(argument) ? nullptr : text_to_cstring(PG_GETARG_TEXT_PP(argument));
}

// A value with a unit, as the parameter of that name takes it.
pg::Arg parameter_argument(FunctionCallInfo fcinfo, int argument, const char *name, Oid type)
{
	const char *text = text_argument(fcinfo, argument);
	if (text == nullptr)
		return pg::arg_null(type);
	const SettingInfo *info = find_setting(name);
	int value = 0;
	const char *hint = nullptr;
	if (!parse_int(text, &value, info->flags, &hint) || value < info->min || value > info->max)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid value for %s: \"%s\"", name, text),
						hint ? errhint("%s", hint) : 0));
	return type == INT8OID ? pg::arg_int8(static_cast<int64>(value) * 1024) : pg::arg_int4(value);
}

void check_target(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(relation) == PG_ARGISNULL(schema_name))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("either relation or schema_name must be given")));
	if (!PG_ARGISNULL(schema_name))
		return;
	Oid oid = PG_GETARG_OID(relation);
	char kind = get_rel_relkind(oid);
	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE && kind != RELKIND_MATVIEW &&
		kind != RELKIND_FOREIGN_TABLE && kind != RELKIND_VIEW && kind != RELKIND_SEQUENCE)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("relation %u has no policy of its own", oid),
						errhint("An index has that of its table.")));
}

void check_mode(const char *word)
{
	if (word == nullptr || strcmp(word, "normal") == 0 || strcmp(word, "strict") == 0 ||
		strcmp(word, "exempt") == 0)
		return;
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("invalid mode of a policy: \"%s\"", word),
					errhint("Available modes: normal, strict, exempt.")));
}

// Also what is left of tables and schemas that are gone.  target: relation, schema_oid,
// schema_name, made_in.
void remove_policy(const pg::Arg *target)
{
	(void)pg::execute("DELETE FROM safe_migrate.policy WHERE relation::pg_catalog.oid = $1 OR "
					  "CASE WHEN made_in = $4 THEN schema_oid = $2 ELSE schema_name = $3 END OR "
					  "schema_oid = $2 OR relation::pg_catalog.oid NOT IN (SELECT oid FROM "
					  "pg_catalog.pg_class) OR (made_in = $4 AND schema_oid NOT IN (SELECT oid "
					  "FROM pg_catalog.pg_namespace))",
					  target, 4);
}

pg::Arg schema_argument(FunctionCallInfo fcinfo)
{
	return PG_ARGISNULL(schema_name)
			   ? pg::arg_null(OIDOID)
			   : pg::arg_oid(get_namespace_oid(NameStr(*PG_GETARG_NAME(schema_name)), false));
}

} // namespace

} // namespace safe_migrate::guard

// Sets the whole policy of one table or schema; with nothing but the target there is none any more.
SAFE_MIGRATE_FUNCTION(safe_migrate_set_policy)
{
	using namespace safe_migrate;
	using namespace safe_migrate::guard;
	check_target(fcinfo);
	const char *word = text_argument(fcinfo, mode);
	check_mode(word);
	const char *levels = text_argument(fcinfo, rule_levels);
	if (levels != nullptr)
		check_levels(levels);
	bool says_nothing = true;
	for (int i = mode; i < comment; i++)
		says_nothing = says_nothing && PG_ARGISNULL(i);

	pg::Arg args[9 + n_times] = {
		PG_ARGISNULL(relation) ? pg::arg_null(OIDOID) : pg::arg_oid(PG_GETARG_OID(relation)),
		schema_argument(fcinfo),
		pg::arg_text(PG_ARGISNULL(schema_name) ? nullptr : NameStr(*PG_GETARG_NAME(schema_name))),
		pg::arg_text(policy_home()),
		pg::arg_text(word),
		parameter_argument(fcinfo, small_table_size, "small_table_size", INT8OID),
		pg::arg_text(levels)};
	for (int i = 0; i < n_times; i++)
		args[7 + i] = parameter_argument(fcinfo, first_time + i, times[i], INT4OID);
	args[7 + n_times] = pg::arg_text(text_argument(fcinfo, comment));
	args[8 + n_times] = pg::arg_text(GetUserNameFromId(GetUserId(), true));
	remove_policy(args);
	if (!says_nothing)
		(void)pg::execute(
			"INSERT INTO safe_migrate.policy (relation, schema_oid, schema_name, made_in, mode, "
			"small_table_size, rule_levels, ddl_lock_try, ddl_lock_retry, ddl_lock_timeout, "
			"max_lock_hold, comment, set_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, "
			"$12, $13)",
			args);
	PG_RETURN_VOID();
}

// Trigger of the table of policies: all sessions read it again.  As a trigger it sees a restored
// dump and what a superuser writes by hand.
SAFE_MIGRATE_FUNCTION(safe_migrate_policy_changed)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("policy_changed() is a trigger function")));
	auto *trigger = reinterpret_cast<TriggerData *>(fcinfo->context);
	CacheInvalidateRelcache(trigger->tg_relation);
	PG_RETURN_DATUM(0);
}
