// See called.hpp.
#include "operations/backfill/called.hpp"

#include "pg/compat_analysis.hpp"

extern "C" {
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
}

namespace safe_migrate::operations::backfill {

namespace {

const char *current_role() { return GetUserNameFromId(GetUserId(), false); }

bool check_function(Oid function, void *)
{
	if (pg::may_execute(function, GetUserId()))
		return false;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied for function %s", get_func_name(function)),
			 errdetail("The job does its work with the rights of role %s.",
					   quote_identifier(current_role())),
			 errhint("GRANT EXECUTE ON FUNCTION %s TO %s;", format_procedure_qualified(function),
					 quote_identifier(current_role()))));
	return true;
}

// As nextval_internal(), do_setval() and currval_oid() ask; ACL_NO_RIGHTS = it is none of them.
AclMode wanted_on_sequence(Oid function)
{
	switch (function) {
		case F_NEXTVAL:
			return ACL_USAGE | ACL_UPDATE;
		case F_CURRVAL:
			return ACL_USAGE | ACL_SELECT;
		case F_SETVAL_REGCLASS_INT8:
		case F_SETVAL_REGCLASS_INT8_BOOL:
			return ACL_UPDATE;
		default:
			return ACL_NO_RIGHTS;
	}
}

void check_sequence(const FuncExpr *call)
{
	const AclMode wanted = wanted_on_sequence(call->funcid);
	if (wanted == ACL_NO_RIGHTS || !IsA(linitial(call->args), Const))
		return;
	const auto *name = linitial_node(Const, call->args);
	if (name->constisnull || name->consttype != REGCLASSOID)
		return;
	const Oid sequence = DatumGetObjectId(name->constvalue);
	if (get_rel_relkind(sequence) != RELKIND_SEQUENCE ||
		pg_class_aclcheck(sequence, GetUserId(), wanted) == ACLCHECK_OK)
		return;
	ereport(
		ERROR,
		(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
		 errmsg("permission denied for sequence %s", get_rel_name(sequence)),
		 errdetail("The job does its work with the rights of role %s.",
				   quote_identifier(current_role())),
		 errhint("GRANT %s ON SEQUENCE %s TO %s;", (wanted & ACL_USAGE) != 0 ? "USAGE" : "UPDATE",
				 quote_qualified_identifier(get_namespace_name(get_rel_namespace(sequence)),
											get_rel_name(sequence)),
				 quote_identifier(current_role()))));
}

// Of these the executor asks for EXECUTE; of a type's input and output functions it does not.
bool asks_to_execute(const Node *node)
{
	switch (nodeTag(node)) {
		case T_FuncExpr:
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
		case T_ScalarArrayOpExpr:
		case T_Aggref:
		case T_WindowFunc:
			return true;
		default:
			return false;
	}
}

bool check_calls(Node *node, void *context)
{
	if (node == nullptr)
		return false;
	if (IsA(node, Query))
		return pg::walk_query(castNode(Query, node), check_calls, context, 0);
	if (asks_to_execute(node))
		(void)check_functions_in_node(node, check_function, context);
	if (IsA(node, FuncExpr))
		check_sequence(castNode(FuncExpr, node));
	return pg::walk_expression(node, check_calls, context);
}

} // namespace

void check_may_call(Node *expression) { (void)check_calls(expression, nullptr); }

} // namespace safe_migrate::operations::backfill
