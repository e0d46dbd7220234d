// A job's own settings: checked when they are given, joined with the server's when they are used.
#include "settings.hpp"

#include "jobs/throttle/query.hpp"
#include "jobs/throttle/throttle.hpp"

extern "C" {
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/jsonb.h"
}

namespace safe_migrate {

namespace {

constexpr const char *throttle_query_name = "throttle_query";
constexpr const char *override_key = "override";

const char *short_name(const SettingInfo &info) { return info.name + strlen("safe_migrate."); }

// A value as a number, whatever its type: booleans and enumerations by their code.
double server_value(const SettingInfo &info)
{
	switch (info.type) {
		case SettingInfo::boolean:
			return *static_cast<bool *>(info.variable) ? 1 : 0;
		case SettingInfo::integer:
		case SettingInfo::enumeration:
			return *static_cast<int *>(info.variable);
		case SettingInfo::real:
			return *static_cast<double *>(info.variable);
		case SettingInfo::text:
			break;
	}
	return 0;
}

void store_value(const SettingInfo &info, double value, JobSettings *settings)
{
	char *field = reinterpret_cast<char *>(settings) + info.job_offset;
	switch (info.type) {
		case SettingInfo::boolean:
			*reinterpret_cast<bool *>(field) = value != 0;
			return;
		case SettingInfo::integer:
		case SettingInfo::enumeration:
			*reinterpret_cast<int *>(field) = static_cast<int>(value);
			return;
		case SettingInfo::real:
			*reinterpret_cast<double *>(field) = value;
			return;
		case SettingInfo::text:
			return;
	}
}

bool option_value(const SettingInfo &info, const char *text, double *value, const char **hint)
{
	StringInfoData names;
	initStringInfo(&names);
	for (const config_enum_entry *option = info.options; option->name != nullptr; option++) {
		appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "", option->name);
		if (pg_strcasecmp(option->name, text) != 0)
			continue;
		*value = option->val;
		return true;
	}
	*hint = psprintf("Available values: %s.", names.data);
	return false;
}

// As parse_and_validate_value() in guc.c does, and `off` for a limit.  False: *hint says
// more or is nullptr.
bool parse_value(const SettingInfo &info, const char *text, double *value, const char **hint)
{
	*hint = nullptr;
	if (info.has_off && pg_strcasecmp(text, "off") == 0) {
		*value = info.off;
		return true;
	}
	switch (info.type) {
		case SettingInfo::boolean: {
			bool on;
			if (!parse_bool(text, &on)) {
				*hint = "The value is on or off.";
				return false;
			}
			*value = on ? 1 : 0;
			return true;
		}
		case SettingInfo::enumeration:
			return option_value(info, text, value, hint);
		case SettingInfo::integer: {
			int number;
			if (!parse_int(text, &number, info.flags, hint))
				return false;
			*value = number;
			break;
		}
		case SettingInfo::real:
			if (!parse_real(text, value, info.flags, hint))
				return false;
			break;
		case SettingInfo::text:
			return false;
	}
	if (*value >= info.min && *value <= info.max)
		return true;
	*hint =
		psprintf("The value lies between %s and %s%s.", format_setting(info, info.min),
				 format_setting(info, info.max), info.has_off ? "; off stands for no limit" : "");
	return false;
}

// Is `value` at least as strict as `than`?
bool is_stricter_or_equal(const SettingInfo &info, double value, double than)
{
	if (info.has_off && (value == info.off || than == info.off))
		return than == info.off;
	switch (info.per_job) {
		case Stricter::smaller:
			return value <= than;
		case Stricter::greater:
			return value >= than;
		case Stricter::any:
			return true;
		case Stricter::not_per_job:
			break;
	}
	return false;
}

char *names_of_job_settings()
{
	StringInfoData names;
	initStringInfo(&names);
	int n;
	const SettingInfo *all = all_settings(&n);
	for (int i = 0; i < n; i++)
		if (all[i].per_job != Stricter::not_per_job)
			appendStringInfo(&names, "%s, ", short_name(all[i]));
	appendStringInfoString(&names, throttle_query_name);
	return names.data;
}

const SettingInfo &find_job_setting(const char *name)
{
	const SettingInfo *info = find_setting(name);
	if (info == nullptr)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("unrecognized job setting \"%s\"", name),
				 errhint("A job's own settings are: %s.", names_of_job_settings())));
	if (info->per_job == Stricter::not_per_job)
		ereport(ERROR, (errcode(ERRCODE_CANT_CHANGE_RUNTIME_PARAM),
						errmsg("\"%s\" can't be set for a single job", short_name(*info)),
						errhint("A job's own settings are: %s.", names_of_job_settings())));
	return *info;
}

bool may_set(const SettingInfo &info, Oid role)
{
	return superuser_arg(role) || pg_parameter_aclcheck(info.name, role, ACL_SET) == ACLCHECK_OK;
}

// {"override": value} where the value is less strict than the server's, by right.
char *to_json(const char *text, bool is_override)
{
	StringInfoData json;
	initStringInfo(&json);
	if (is_override)
		appendStringInfo(&json, "{\"%s\": ", override_key);
	escape_json(&json, text);
	if (is_override)
		appendStringInfoChar(&json, '}');
	return json.data;
}

char *validate_value(const SettingInfo &info, const char *text, Oid role)
{
	double value;
	const char *hint;
	if (!parse_value(info, text, &value, &hint))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for job setting \"%s\": \"%s\"", short_name(info), text),
				 hint ? errhint("%s", hint) : 0));
	double server = server_value(info);
	bool is_override = !is_stricter_or_equal(info, value, server);
	if (is_override && !may_set(info, role))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("permission denied to set job setting \"%s\" to %s",
							   short_name(info), format_setting(info, value)),
						errdetail("The server's limit is %s; a job's own may only be stricter.",
								  format_setting(info, server)),
						errhint("Less strict values need the right to set the parameter: "
								"GRANT SET ON PARAMETER %s TO %s.",
								info.name, quote_identifier(GetUserNameFromId(role, false)))));
	return to_json(format_setting(info, value), is_override);
}

Jsonb *parse_json(const char *json)
{
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(json)));
}

char *print_json(const char *json)
{
	Datum parsed = DirectFunctionCall1(jsonb_in, CStringGetDatum(json));
	return DatumGetCString(DirectFunctionCall1(jsonb_out, parsed));
}

// A scalar as text, nullptr for null; *is_scalar is false for arrays and objects.
char *scalar_text(const JsonbValue &value, bool *is_scalar)
{
	*is_scalar = true;
	switch (value.type) {
		case jbvNull:
			return nullptr;
		case jbvString:
			return pnstrdup(value.val.string.val, value.val.string.len);
		case jbvBool:
			return pstrdup(value.val.boolean ? "on" : "off");
		case jbvNumeric:
			return DatumGetCString(
				DirectFunctionCall1(numeric_out, NumericGetDatum(value.val.numeric)));
		default:
			*is_scalar = false;
			return nullptr;
	}
}

// The text of a value that a user gave.
char *plain_text(const char *name, const JsonbValue &value)
{
	bool is_scalar;
	char *text = scalar_text(value, &is_scalar);
	if (!is_scalar)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("value of job setting \"%s\" must be a string, number or boolean", name)));
	return text;
}

// Calls each(name, value) for the members of an object.
template <class F> void for_each_member(Jsonb *object, F &&each)
{
	JsonbIterator *it = JsonbIteratorInit(&object->root);
	JsonbValue value;
	const char *name = "";
	for (;;) {
		JsonbIteratorToken token = JsonbIteratorNext(&it, &value, true);
		if (token == WJB_DONE)
			return;
		if (token == WJB_KEY)
			name = pnstrdup(value.val.string.val, value.val.string.len);
		else if (token == WJB_VALUE)
			each(name, value);
	}
}

void append_member(StringInfo json, const char *name, const char *value)
{
	if (json->len > 1)
		appendStringInfoString(json, ", ");
	escape_json(json, name);
	appendStringInfo(json, ": %s", value);
}

void start_from_server(JobSettings *settings)
{
	*settings = {};
	int n;
	const SettingInfo *all = all_settings(&n);
	for (int i = 0; i < n; i++)
		if (all[i].per_job != Stricter::not_per_job)
			store_value(all[i], server_value(all[i]), settings);
}

// The member "override" of a stored value, as text, or nullptr.
char *override_text(const JsonbValue &value)
{
	if (value.type != jbvBinary || !JsonContainerIsObject(value.val.binary.data))
		return nullptr;
	JsonbValue found;
	if (getKeyJsonValueFromContainer(value.val.binary.data, override_key,
									 static_cast<int>(strlen(override_key)), &found) == nullptr)
		return nullptr;
	bool is_scalar;
	return scalar_text(found, &is_scalar);
}

void apply_own(const char *name, const JsonbValue &stored, JobSettings *settings)
{
	bool is_scalar;
	const char *text = scalar_text(stored, &is_scalar);
	bool is_override = !is_scalar;
	if (strcmp(name, throttle_query_name) == 0) {
		settings->throttle_query =
			is_scalar ? text
					  : JsonbToCString(nullptr, stored.val.binary.data, stored.val.binary.len);
		return;
	}
	if (is_override)
		text = override_text(stored);
	if (text == nullptr)
		return;
	const SettingInfo *info = find_setting(name);
	double value;
	const char *hint;
	if (info == nullptr || info->per_job == Stricter::not_per_job ||
		!parse_value(*info, text, &value, &hint))
		return;
	if (is_override || is_stricter_or_equal(*info, value, server_value(*info)))
		store_value(*info, value, settings);
}

} // namespace

char *format_setting(const SettingInfo &info, double value)
{
	struct Unit {
		int flag;
		int64 factor;
		const char *name;
	};
	// greatest first
	static constexpr Unit units[] = {{GUC_UNIT_KB, 1024 * 1024 * 1024, "TB"},
									 {GUC_UNIT_KB, 1024 * 1024, "GB"},
									 {GUC_UNIT_KB, 1024, "MB"},
									 {GUC_UNIT_KB, 1, "kB"},
									 {GUC_UNIT_MS, 24 * 3600 * 1000, "d"},
									 {GUC_UNIT_MS, 3600 * 1000, "h"},
									 {GUC_UNIT_MS, 60 * 1000, "min"},
									 {GUC_UNIT_MS, 1000, "s"},
									 {GUC_UNIT_MS, 1, "ms"}};
	if (info.has_off && value == info.off)
		return pstrdup("off");
	if (info.type == SettingInfo::boolean)
		return pstrdup(value != 0 ? "on" : "off");
	if (info.type == SettingInfo::enumeration)
		for (const config_enum_entry *option = info.options; option->name != nullptr; option++)
			if (option->val == static_cast<int>(value))
				return pstrdup(option->name);
	if (info.type == SettingInfo::real)
		return psprintf("%g", value);
	int64 number = static_cast<int64>(value);
	for (const Unit &unit : units)
		if ((info.flags & (GUC_UNIT_MEMORY | GUC_UNIT_TIME)) == unit.flag && number != 0 &&
			number % unit.factor == 0)
			return psprintf(INT64_FORMAT "%s", number / unit.factor, unit.name);
	return psprintf(INT64_FORMAT, number);
}

char *validate_job_setting(const char *name, const char *value, Oid role, char **stored_name)
{
	bool reset = value == nullptr || value[0] == '\0';
	const char *bare = name;
	if (pg_strncasecmp(bare, "safe_migrate.", strlen("safe_migrate.")) == 0)
		bare += strlen("safe_migrate.");
	if (pg_strcasecmp(bare, throttle_query_name) == 0) {
		*stored_name = pstrdup(throttle_query_name);
		return reset ? nullptr : jobs::throttle::resolve_throttle_query(value);
	}
	const SettingInfo &info = find_job_setting(name);
	*stored_name = pstrdup(short_name(info));
	return reset ? nullptr : validate_value(info, value, role);
}

char *validate_job_settings(const char *json, Oid role)
{
	StringInfoData result;
	initStringInfo(&result);
	appendStringInfoChar(&result, '{');
	if (json != nullptr) {
		Jsonb *given = parse_json(json);
		if (!JB_ROOT_IS_OBJECT(given))
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("job settings must be a JSON object"),
							errhint("For example: '{\"max_replica_lag\": \"5s\"}'.")));
		for_each_member(given, [&](const char *name, const JsonbValue &value) {
			char *text = plain_text(name, value);
			char *stored_name;
			char *stored = validate_job_setting(name, text, role, &stored_name);
			if (stored != nullptr)
				append_member(&result, stored_name, stored);
		});
	}
	appendStringInfoChar(&result, '}');
	return print_json(result.data);
}

char *configure_job_settings(const char *json, const char *name, const char *value, Oid role)
{
	char *stored_name;
	char *stored = validate_job_setting(name, value, role, &stored_name);
	Datum all = DirectFunctionCall1(jsonb_in, CStringGetDatum(json == nullptr ? "{}" : json));
	all = DirectFunctionCall2(jsonb_delete, all, CStringGetTextDatum(stored_name));
	if (stored != nullptr) {
		StringInfoData member;
		initStringInfo(&member);
		appendStringInfoChar(&member, '{');
		append_member(&member, stored_name, stored);
		appendStringInfoChar(&member, '}');
		Datum added = DirectFunctionCall1(jsonb_in, CStringGetDatum(member.data));
		all = DirectFunctionCall2(jsonb_concat, all, added);
	}
	return DatumGetCString(DirectFunctionCall1(jsonb_out, all));
}

JobSettings effective_settings(const char *json)
{
	JobSettings settings;
	start_from_server(&settings);
	if (json == nullptr)
		return settings;
	Jsonb *own = parse_json(json);
	if (JB_ROOT_IS_OBJECT(own))
		for_each_member(own, [&](const char *name, const JsonbValue &value) {
			apply_own(name, value, &settings);
		});
	return settings;
}

jobs::throttle::Limits throttle_limits(const JobSettings &settings)
{
	auto limit = [](int value, int64 factor) -> int64 {
		return value <= 0 ? jobs::throttle::no_limit : value * factor;
	};
	jobs::throttle::Limits limits;
	limits.replica_lag_us = limit(settings.max_replica_lag, 1000);
	limits.replica_lag_bytes = limit(settings.max_replica_lag_bytes, 1024);
	limits.slot_retained_bytes = limit(settings.max_slot_retained, 1024);
	limits.lock_waiters = settings.max_lock_waiters; // -1 is no limit on both sides
	limits.horizon_age = limit(settings.max_horizon_age, 1);
	limits.wal_rate = limit(settings.max_wal_rate, 1024);
	limits.archive_backlog = limit(settings.max_archive_backlog, 1);
	limits.checkpoints = settings.pause_for_checkpoints;
	limits.active_backends = limit(settings.max_active_backends, 1);
	limits.table_write_rate = limit(settings.max_table_write_rate, 1);
	limits.has_query = settings.throttle_query != nullptr;
	limits.unknown_stops = settings.unknown_signal == UNKNOWN_STOP;
	return limits;
}

} // namespace safe_migrate
