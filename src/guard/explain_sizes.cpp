// See explain_sizes.hpp.
#include "guard/explain_sizes.hpp"

#include <algorithm>

#include "statement/relations.hpp"

extern "C" {
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/varlena.h"
}

namespace safe_migrate::guard {

namespace {

[[noreturn]] void not_sizes(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("sizes are not valid: %s", what),
			 errdetail("They are what safe_migrate.export_sizes() returns: "
					   "{\"schema.table\": {\"heap\": …, \"toast\": …, \"indexes\": …}, …}, "
					   "in bytes.")));
	pg_unreachable();
}

JsonbValue *field(JsonbContainer *object, const char *name, JsonbValue *value)
{
	return getKeyJsonValueFromContainer(object, name, static_cast<int>(strlen(name)), value);
}

// 0 where it is missing.
int64 bytes_of(JsonbContainer *object, const char *name)
{
	constexpr int64 most = INT64CONST(1) << 60;
	JsonbValue value;
	if (field(object, name, &value) == nullptr)
		return 0;
	if (value.type != jbvNumeric)
		not_sizes(psprintf("\"%s\" is not a number", name));
	Datum number = NumericGetDatum(value.val.numeric);
	Datum limit = NumericGetDatum(int64_to_numeric(most));
	if (DatumGetBool(DirectFunctionCall2(numeric_lt, number, NumericGetDatum(int64_to_numeric(0)))))
		not_sizes(psprintf("\"%s\" is negative", name));
	if (DatumGetBool(DirectFunctionCall2(numeric_gt, number, limit)))
		not_sizes(psprintf("\"%s\" is too large", name));
	return DatumGetInt64(DirectFunctionCall1(numeric_int8, number));
}

struct Name {
	NameData schema;
	NameData relation;
};

struct Sizes {
	int64 heap;
	int64 indexes;
};

struct Entry {
	Name name; // the key
	Sizes sizes;
};

Name name_from(const char *schema, const char *relation)
{
	Name name = {};
	namestrcpy(&name.schema, schema);
	namestrcpy(&name.relation, relation);
	return name;
}

// However it is quoted.
Name name_from_key(const char *key)
{
	List *parts = NIL;
	if (!SplitIdentifierString(pstrdup(key), '.', &parts) || list_length(parts) != 2)
		not_sizes(psprintf("\"%s\" is not the name of a table with its schema", key));
	return name_from(static_cast<const char *>(linitial(parts)),
					 static_cast<const char *>(lsecond(parts)));
}

void add_entry(HTAB *table, const char *key, JsonbContainer *fields)
{
	const Name name = name_from_key(key);
	auto *entry = static_cast<Entry *>(hash_search(table, &name, HASH_ENTER, nullptr));
	entry->sizes = {bytes_of(fields, "heap") + bytes_of(fields, "toast"),
					bytes_of(fields, "indexes")};
}

bool find(HTAB *sizes, Oid relation, Sizes *found)
{
	const char *relation_name = get_rel_name(relation);
	const char *schema = get_namespace_name(get_rel_namespace(relation));
	if (relation_name == nullptr || schema == nullptr)
		return false;
	const Name name = name_from(schema, relation_name);
	auto *entry = static_cast<Entry *>(hash_search(sizes, &name, HASH_FIND, nullptr));
	if (entry == nullptr)
		return false;
	*found = entry->sizes;
	return true;
}

// Of all that is there below a partitioned table's partitions.
Sizes below(HTAB *sizes, Oid relation)
{
	Sizes sum = {};
	if (get_rel_relkind(relation) != RELKIND_PARTITIONED_TABLE)
		return sum;
	ListCell *cell;
	foreach (cell, find_inheritance_children(relation, NoLock)) {
		Sizes child;
		if (!find(sizes, lfirst_oid(cell), &child))
			child = below(sizes, lfirst_oid(cell));
		sum.heap += child.heap;
		sum.indexes += child.indexes;
	}
	return sum;
}

// A partitioned table comes with the sum of its leaves.  What its partitions here don't account for
// is in partitions that are only there: it counts as the table's own.
bool look_up(void *state, Oid relation, int64 *heap, int64 *indexes)
{
	auto *sizes = static_cast<HTAB *>(state);
	Sizes found;
	if (!find(sizes, relation, &found))
		return false;
	const Sizes here = below(sizes, relation);
	found.heap = std::max<int64>(0, found.heap - here.heap);
	found.indexes = std::max<int64>(0, found.indexes - here.indexes);
	*heap = found.heap;
	*indexes = found.indexes;
	return true;
}

} // namespace

HTAB *read_sizes(Jsonb *json)
{
	if (!JB_ROOT_IS_OBJECT(json))
		not_sizes("not an object");
	HASHCTL control = {};
	control.keysize = sizeof(Name);
	control.entrysize = sizeof(Entry);
	control.hcxt = CurrentMemoryContext;
	HTAB *sizes =
		hash_create("safe_migrate sizes", 256, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	JsonbIterator *iterator = JsonbIteratorInit(&json->root);
	JsonbValue value;
	JsonbIteratorToken token;
	const char *key = nullptr;
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE) {
		if (token == WJB_KEY)
			key = pnstrdup(value.val.string.val, value.val.string.len);
		if (token != WJB_VALUE)
			continue;
		if (value.type != jbvBinary || !JsonContainerIsObject(value.val.binary.data))
			not_sizes("a relation's sizes are not an object");
		add_entry(sizes, key, value.val.binary.data);
	}
	return sizes;
}

void take_sizes_from(HTAB *sizes)
{
	statement::use_sizes(sizes != nullptr ? look_up : nullptr, sizes);
}

} // namespace safe_migrate::guard
