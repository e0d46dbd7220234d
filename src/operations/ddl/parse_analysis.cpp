// See parse_analysis.hpp.
#include "operations/ddl/parse_analysis.hpp"

extern "C" {
#include "nodes/makefuncs.h"
#include "parser/parse_utilcmd.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
}

namespace safe_migrate::operations::ddl {

void check_by_parse_analysis(Relation relation, const AlterTableCmd *command, const char *source)
{
	AlterTableStmt *statement = makeNode(AlterTableStmt);
	statement->relation = makeRangeVar(get_namespace_name(RelationGetNamespace(relation)),
									   pstrdup(RelationGetRelationName(relation)), -1);
	statement->cmds = list_make1(copyObjectImpl(command));
	statement->objtype = OBJECT_TABLE;
	List *before = NIL, *after = NIL;
	(void)transformAlterTableStmt(RelationGetRelid(relation), statement, source, &before, &after);
}

} // namespace safe_migrate::operations::ddl
