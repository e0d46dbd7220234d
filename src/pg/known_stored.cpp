// See known_objects.hpp: as they are stored with a job.
#include "pg/known_object.hpp"

#include "pg/json.hpp"

extern "C" {
#include "utils/json.h"
}

namespace safe_migrate::pg {

void append_known(StringInfo json, const List *known)
{
	if (known == NIL)
		return;
	json_key(json, "objects");
	appendStringInfoChar(json, '[');
	ListCell *cell;
	foreach (cell, known) {
		auto *one = static_cast<const Known *>(lfirst(cell));
		json_comma(json);
		appendStringInfoChar(json, '{');
		json_number(json, "class", one->class_id);
		json_number(json, "oid", one->oid);
		json_number(json, "field", one->field);
		json_text(json, "field_name", one->field_name);
		json_text(json, "constant_of", one->constant_of);
		if (OidIsValid(one->constant_type))
			json_number(json, "constant_type", one->constant_type);
		json_text(json, "numbers", one->numbers);
		if (one->is_inside)
			json_bool(json, "is_inside", true);
		json_text(json, "schema", one->schema);
		json_text(json, "name", one->name);
		json_text(json, "description", one->description);
		json_key(json, "columns");
		appendStringInfoChar(json, '[');
		for (int i = 0; i < one->n_columns; i++) {
			json_comma(json);
			if (one->columns[i] != nullptr)
				escape_json(json, one->columns[i]);
			else
				appendStringInfoString(json, "null");
		}
		appendStringInfoString(json, "]}");
	}
	appendStringInfoChar(json, ']');
}

List *read_known(JsonbContainer *array)
{
	List *known = NIL;
	for (int i = 0; i < json_size(array); i++) {
		JsonbContainer *object = json_element_container(array, i);
		auto *one = static_cast<Known *>(palloc0(sizeof(Known)));
		one->class_id = static_cast<Oid>(json_get_number(object, "class", 0));
		one->oid = static_cast<Oid>(json_get_number(object, "oid", 0));
		one->field = static_cast<int>(json_get_number(object, "field", 0));
		one->field_name = json_get_text(object, "field_name");
		one->constant_of = json_get_text(object, "constant_of");
		one->constant_type = static_cast<Oid>(json_get_number(object, "constant_type", 0));
		one->numbers = json_get_text(object, "numbers");
		one->is_inside = json_get_bool(object, "is_inside", false);
		one->schema = json_get_text(object, "schema");
		one->name = json_get_text(object, "name");
		one->description = json_get_text(object, "description");
		JsonbContainer *columns = json_get_container(object, "columns");
		one->n_columns = json_size(columns);
		one->columns = static_cast<const char **>(palloc0(sizeof(char *) * (one->n_columns + 1)));
		for (int c = 0; c < one->n_columns; c++)
			one->columns[c] = json_element_text(columns, c);
		if (one->schema == nullptr || one->name == nullptr || one->description == nullptr)
			elog(ERROR, "the stored objects of a job are malformed");
		known = lappend(known, one);
	}
	return known;
}

} // namespace safe_migrate::pg
