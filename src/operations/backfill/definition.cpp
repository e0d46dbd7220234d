// A Definition as jsonb.  Only the columns that it names are stored, so that a second call
// after an unrelated ALTER TABLE still is the same definition.
#include "operations/backfill/definition.hpp"

#include "pg/json.hpp"
#include "pg/known_objects.hpp"

extern "C" {
#include "lib/stringinfo.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
}

namespace safe_migrate::operations::backfill {

namespace {

constexpr const char *action_names[] = {"update", "delete"};

[[noreturn]] void malformed(const char *key)
{
	elog(ERROR, "stored definition of a backfill is malformed at \"%s\"", key);
	pg_unreachable();
}

// Writing -----------------------------------------------------------------------------

void append_assignment(StringInfo json, const Assignment &assignment)
{
	pg::json_comma(json);
	appendStringInfoChar(json, '{');
	pg::json_number(json, "attnum", assignment.attnum);
	pg::json_text(json, "column", assignment.column);
	pg::json_text(json, "expression", assignment.expression);
	appendStringInfoChar(json, '}');
}

// Reading -----------------------------------------------------------------------------

char *copy_string(const JsonbValue *value, const char *key)
{
	if (value == nullptr || value->type != jbvString)
		malformed(key);
	return pnstrdup(value->val.string.val, value->val.string.len);
}

int64 read_number(const JsonbValue *value, const char *key)
{
	if (value == nullptr || value->type != jbvNumeric)
		malformed(key);
	return DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(value->val.numeric)));
}

JsonbValue *member(JsonbContainer *object, const char *key)
{
	return getKeyJsonValueFromContainer(object, key, static_cast<int>(strlen(key)), nullptr);
}

JsonbContainer *container(JsonbValue *value, const char *key)
{
	if (value == nullptr || value->type != jbvBinary)
		malformed(key);
	return value->val.binary.data;
}

bool read_bool(const JsonbValue *value, const char *key)
{
	if (value == nullptr || value->type != jbvBool)
		malformed(key);
	return value->val.boolean;
}

RowAction read_action(const char *name)
{
	for (size_t i = 0; i < lengthof(action_names); i++)
		if (strcmp(name, action_names[i]) == 0)
			return static_cast<RowAction>(i);
	malformed("action");
}

void read_assignments(Definition *definition, JsonbContainer *array)
{
	if (!JsonContainerIsArray(array))
		malformed("assignments");
	definition->n_assignments = static_cast<int>(JsonContainerSize(array));
	definition->assignments =
		static_cast<Assignment *>(palloc0(sizeof(Assignment) * (definition->n_assignments + 1)));
	for (int i = 0; i < definition->n_assignments; i++) {
		JsonbContainer *one = container(getIthJsonbValueFromContainer(array, i), "assignments");
		Assignment *assignment = &definition->assignments[i];
		assignment->attnum = static_cast<AttrNumber>(read_number(member(one, "attnum"), "attnum"));
		assignment->column = copy_string(member(one, "column"), "column");
		assignment->expression = copy_string(member(one, "expression"), "expression");
	}
}

// {"attnum": "name", …}; the first pass only measures.
int for_each_column(JsonbContainer *object, const char **columns)
{
	JsonbIterator *iterator = JsonbIteratorInit(object);
	JsonbValue value;
	int highest = 0, attnum = 0;
	JsonbIteratorToken token;
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE) {
		if (token == WJB_KEY) {
			attnum = atoi(copy_string(&value, "columns"));
			if (attnum <= 0 || attnum > MaxAttrNumber)
				malformed("columns");
			highest = Max(highest, attnum);
		} else if (token == WJB_VALUE && columns != nullptr)
			columns[attnum - 1] = copy_string(&value, "columns");
	}
	return highest;
}

void read_columns(Definition *definition, JsonbContainer *object)
{
	if (!JsonContainerIsObject(object))
		malformed("columns");
	definition->n_columns = for_each_column(object, nullptr);
	definition->columns =
		static_cast<const char **>(palloc0(sizeof(char *) * (definition->n_columns + 1)));
	for_each_column(object, definition->columns);
}

char *print(const Definition &definition, bool for_step)
{
	StringInfoData json;
	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	pg::json_text(&json, "action", action_names[static_cast<int>(definition.action)]);
	pg::json_number(&json, "relation", definition.relation);
	pg::json_key(&json, "assignments");
	appendStringInfoChar(&json, '[');
	for (int i = 0; i < definition.n_assignments; i++)
		append_assignment(&json, definition.assignments[i]);
	appendStringInfoChar(&json, ']');
	pg::json_text(&json, "predicate", definition.predicate);
	pg::json_key(&json, "columns");
	appendStringInfoChar(&json, '{');
	for (int i = 0; i < definition.n_columns; i++)
		if (definition.columns[i] != nullptr)
			pg::json_text(&json, psprintf("%d", i + 1), definition.columns[i]);
	appendStringInfoChar(&json, '}');
	pg::json_bool(&json, "fire_triggers", definition.fire_triggers);
	pg::append_known(&json, for_step ? definition.objects : NIL);
	if (for_step && definition.reads_itself)
		pg::json_bool(&json, "reads_itself", true);
	appendStringInfoChar(&json, '}');
	return json.data;
}

} // namespace

char *to_json(const Definition &definition) { return print(definition, true); }

char *to_json_without_objects(const Definition &definition) { return print(definition, false); }

Definition *from_json(const char *json)
{
	Jsonb *stored = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(json)));
	JsonbContainer *root = &stored->root;
	if (!JsonContainerIsObject(root))
		malformed("object");
	auto *definition = static_cast<Definition *>(palloc0(sizeof(Definition)));
	definition->action = read_action(copy_string(member(root, "action"), "action"));
	definition->relation = static_cast<Oid>(read_number(member(root, "relation"), "relation"));
	read_assignments(definition, container(member(root, "assignments"), "assignments"));
	definition->predicate = copy_string(member(root, "predicate"), "predicate");
	read_columns(definition, container(member(root, "columns"), "columns"));
	definition->fire_triggers = read_bool(member(root, "fire_triggers"), "fire_triggers");
	definition->reads_itself = pg::json_get_bool(root, "reads_itself", false);
	definition->objects = pg::read_known(pg::json_get_container(root, "objects"));
	return definition;
}

} // namespace safe_migrate::operations::backfill
