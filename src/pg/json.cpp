// See json.hpp.
#include "pg/json.hpp"

extern "C" {
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/numeric.h"
}

namespace safe_migrate::pg {

void json_comma(StringInfo json)
{
	char last = json->data[json->len - 1];
	if (last != '{' && last != '[')
		appendStringInfoChar(json, ',');
}

void json_key(StringInfo json, const char *key)
{
	json_comma(json);
	escape_json(json, key);
	appendStringInfoChar(json, ':');
}

void json_text(StringInfo json, const char *key, const char *value)
{
	if (!value)
		return;
	json_key(json, key);
	escape_json(json, value);
}

void json_number(StringInfo json, const char *key, int64 value)
{
	json_key(json, key);
	appendStringInfo(json, INT64_FORMAT, value);
}

void json_bool(StringInfo json, const char *key, bool value)
{
	json_key(json, key);
	appendStringInfoString(json, value ? "true" : "false");
}

JsonbContainer *json_parse(const char *text)
{
	Datum datum = DirectFunctionCall1(jsonb_in, CStringGetDatum(text));
	return &DatumGetJsonbP(datum)->root;
}

namespace {

JsonbValue *member(JsonbContainer *object, const char *key)
{
	if (!object || !JsonContainerIsObject(object))
		return nullptr;
	return getKeyJsonValueFromContainer(object, key, static_cast<int>(strlen(key)), nullptr);
}

JsonbValue *element(JsonbContainer *array, int i)
{
	return array && JsonContainerIsArray(array)
			   ? getIthJsonbValueFromContainer(array, static_cast<uint32>(i))
			   : nullptr;
}

char *text_of(const JsonbValue *value)
{
	if (!value || value->type != jbvString)
		return nullptr;
	return pnstrdup(value->val.string.val, static_cast<Size>(value->val.string.len));
}

int64 number_of(const JsonbValue *value, int64 missing)
{
	if (!value || value->type != jbvNumeric)
		return missing;
	return DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(value->val.numeric)));
}

JsonbContainer *container_of(const JsonbValue *value)
{
	return value && value->type == jbvBinary ? value->val.binary.data : nullptr;
}

} // namespace

char *json_get_text(JsonbContainer *object, const char *key)
{
	return text_of(member(object, key));
}

int64 json_get_number(JsonbContainer *object, const char *key, int64 missing)
{
	return number_of(member(object, key), missing);
}

bool json_get_bool(JsonbContainer *object, const char *key, bool missing)
{
	const JsonbValue *value = member(object, key);
	return value && value->type == jbvBool ? value->val.boolean : missing;
}

JsonbContainer *json_get_container(JsonbContainer *object, const char *key)
{
	return container_of(member(object, key));
}

int json_size(JsonbContainer *array)
{
	return array && JsonContainerIsArray(array) ? static_cast<int>(JsonContainerSize(array)) : 0;
}

int64 json_element_number(JsonbContainer *array, int i, int64 missing)
{
	return number_of(element(array, i), missing);
}

char *json_element_text(JsonbContainer *array, int i) { return text_of(element(array, i)); }

JsonbContainer *json_element_container(JsonbContainer *array, int i)
{
	return container_of(element(array, i));
}

} // namespace safe_migrate::pg
