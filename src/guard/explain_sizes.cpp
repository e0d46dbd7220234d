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
	JsonbValue value;
	if (field(object, name, &value) == nullptr)
		return 0;
	if (value.type != jbvNumeric)
		not_sizes(psprintf("\"%s\" is not a number", name));
	int64 bytes =
		DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(value.val.numeric)));
	if (bytes < 0)
		not_sizes(psprintf("\"%s\" is negative", name));
	return bytes;
}

struct Sizes {
	int64 heap;
	int64 indexes;
};

bool find(Jsonb *sizes, Oid relation, Sizes *found)
{
	const char *name = get_rel_name(relation);
	if (name == nullptr)
		return false;
	const char *schema = get_namespace_name(get_rel_namespace(relation));
	JsonbValue value;
	if (field(&sizes->root, quote_qualified_identifier(schema, name), &value) == nullptr)
		return false;
	found->heap =
		bytes_of(value.val.binary.data, "heap") + bytes_of(value.val.binary.data, "toast");
	found->indexes = bytes_of(value.val.binary.data, "indexes");
	return true;
}

// Of all that is there below a partitioned table's partitions.
Sizes below(Jsonb *sizes, Oid relation)
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
	auto *sizes = static_cast<Jsonb *>(state);
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

void check_sizes(Jsonb *sizes)
{
	if (!JB_ROOT_IS_OBJECT(sizes))
		not_sizes("not an object");
	JsonbIterator *iterator = JsonbIteratorInit(&sizes->root);
	JsonbValue value;
	JsonbIteratorToken token;
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE) {
		if (token != WJB_VALUE)
			continue;
		if (value.type != jbvBinary || !JsonContainerIsObject(value.val.binary.data))
			not_sizes("a relation's sizes are not an object");
		(void)bytes_of(value.val.binary.data, "heap");
		(void)bytes_of(value.val.binary.data, "toast");
		(void)bytes_of(value.val.binary.data, "indexes");
	}
}

void take_sizes_from(Jsonb *sizes)
{
	statement::use_sizes(sizes != nullptr ? look_up : nullptr, sizes);
}

} // namespace safe_migrate::guard
