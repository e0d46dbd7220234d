// What analyses expressions of statements that name rows of a table: of check_*.cpp.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "nodes/nodes.h"
#include "parser/parse_node.h"
#include "utils/relcache.h"
}

namespace safe_migrate::operations::apply {

// Its columns under that name, or (nullptr) its own.
void add_relation(ParseState *state, Relation relation, const char *alias);

// A condition, as the parser left it, is analysed; the server's errors.
void check_condition(ParseState *state, const Node *condition, ParseExprKind kind,
					 const char *name);

} // namespace safe_migrate::operations::apply
