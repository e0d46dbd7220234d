// Nodes of an expression with a type of their own, which the text they come from may name: those
// whose dependency find_expr_references_walker() of dependency.c records.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "nodes/nodes.h"
}

namespace safe_migrate::pg {

inline bool has_own_type(const Node *node)
{
	switch (nodeTag(node)) {
		case T_Const:
		case T_FuncExpr:
		case T_OpExpr:
		case T_RelabelType:
		case T_CoerceViaIO:
		case T_ArrayCoerceExpr:
		case T_ConvertRowtypeExpr:
		case T_RowExpr:
		case T_ArrayExpr:
		case T_CoerceToDomain:
		case T_FieldSelect:
			return true;
		default:
			return false;
	}
}

} // namespace safe_migrate::pg
