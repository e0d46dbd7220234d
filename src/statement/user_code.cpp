// See user_code.hpp.
#include "statement/user_code.hpp"

#include "pg/compat_analysis.hpp"

extern "C" {
#include "access/transam.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/syscache.h"
}

namespace safe_migrate::statement {

namespace {

bool is_in_sql(Oid function)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	if (!HeapTupleIsValid(tuple))
		return false;
	bool result = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple))->prolang == SQLlanguageId;
	ReleaseSysCache(tuple);
	return result;
}

bool may_be_called(Oid function, void *context)
{
	return function >= FirstNormalObjectId &&
		   (is_in_sql(function) || !contain_var_clause(static_cast<Node *>(context)));
}

bool walk(Node *node, void *context)
{
	if (node == nullptr)
		return false;
	if (check_functions_in_node(node, may_be_called, node))
		return true;
	return pg::walk_expression(node, walk, context);
}

} // namespace

bool may_run_user_code(Node *expression) { return walk(expression, nullptr); }

} // namespace safe_migrate::statement
