// Small jsonb texts that the extension writes for itself and reads back.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "lib/stringinfo.h"
#include "utils/jsonb.h"
}

namespace safe_migrate::pg {

// Writing, into a text that ends with '{', '[' or a member: commas come by themselves.
void json_key(StringInfo json, const char *key);
void json_text(StringInfo json, const char *key, const char *value); // nothing where nullptr
void json_number(StringInfo json, const char *key, int64 value);
void json_bool(StringInfo json, const char *key, bool value);
void json_comma(StringInfo json); // before an element of an array

// Reading.  A member that is missing or of another type: the `missing` value, or nullptr.
JsonbContainer *json_parse(const char *text); // error where it is no JSON
char *json_get_text(JsonbContainer *object, const char *key);
int64 json_get_number(JsonbContainer *object, const char *key, int64 missing);
bool json_get_bool(JsonbContainer *object, const char *key, bool missing);
JsonbContainer *json_get_container(JsonbContainer *object, const char *key);
int json_size(JsonbContainer *array); // 0 where nullptr
int64 json_element_number(JsonbContainer *array, int i, int64 missing);
char *json_element_text(JsonbContainer *array, int i);
JsonbContainer *json_element_container(JsonbContainer *array, int i);

} // namespace safe_migrate::pg
