// A job's own throttle query, when it is queued: checked and stored resolved.
#include "jobs/throttle/query.hpp"

#include "pg/compat_analysis.hpp"
#include "pg/json.hpp"
#include "pg/known_objects.hpp"
#include "pg/pinned_settings.hpp"

extern "C" {
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "parser/analyze.h"
#include "parser/parse_relation.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/ruleutils.h"
}

namespace safe_migrate::jobs::throttle {

namespace {

RawStmt *parse_one_select(const char *text)
{
	List *statements = pg_parse_query(text);
	RawStmt *only = list_length(statements) == 1 ? linitial_node(RawStmt, statements) : nullptr;
	if (only == nullptr || !IsA(only->stmt, SelectStmt))
		ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR),
						errmsg("a throttle query must be one SELECT statement")));
	return only;
}

void check_query(const Query *query)
{
	if (query->commandType != CMD_SELECT || query->utilityStmt != nullptr ||
		query->hasModifyingCTE || query->rowMarks != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("a throttle query must only read"),
				 errdetail("It is run again and again in read-only transactions.")));
	int columns = 0;
	Oid type = InvalidOid;
	ListCell *cell;
	foreach (cell, query->targetList) {
		TargetEntry *entry = lfirst_node(TargetEntry, cell);
		if (entry->resjunk)
			continue;
		columns++;
		type = exprType(reinterpret_cast<Node *>(entry->expr));
	}
	if (columns != 1 || type != BOOLOID)
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
						errmsg("a throttle query must return one boolean column"),
						errhint("The job stops while its first row is true.")));
	if (pg::uses_temporary_objects(query))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("a throttle query must not use temporary relations"),
						errdetail("A background worker runs it and can't see them.")));
}

// As _SPI_error_callback(): a position belongs to this text, not to the statement that holds it.
void error_in_query(void *text)
{
	int position = geterrposition();
	if (position > 0) {
		errposition(0);
		internalerrposition(position);
		internalerrquery(static_cast<const char *>(text));
	}
	errcontext("throttle query");
}

// As it will be read.
List *objects_of(const char *resolved)
{
	RawStmt *statement = parse_one_select(resolved);
	Node *raw = static_cast<Node *>(copyObjectImpl(statement->stmt));
	Query *query = parse_analyze_fixedparams(statement, resolved, nullptr, 0, nullptr);
	return pg::known_objects(reinterpret_cast<Node *>(query), list_make1(raw));
}

char *to_json(const char *resolved, const List *objects)
{
	StringInfoData json;
	initStringInfo(&json);
	if (objects == NIL) {
		escape_json(&json, resolved);
		return json.data;
	}
	appendStringInfoChar(&json, '{');
	pg::json_text(&json, "query", resolved);
	pg::append_known(&json, objects);
	appendStringInfoChar(&json, '}');
	return json.data;
}

} // namespace

char *resolve_throttle_query(const char *text)
{
	ErrorContextCallback context = {error_context_stack, error_in_query, const_cast<char *>(text)};
	error_context_stack = &context;
	RawStmt *statement = parse_one_select(text);
	Query *query = parse_analyze_fixedparams(statement, text, nullptr, 0, nullptr);
	check_query(query);
	error_context_stack = context.previous;

	pg::PinnedSettings pinned;
	pinned.enter();
	char *resolved = pg_get_querydef(query, false);
	resolved += strspn(resolved, " ");
	char *json = to_json(resolved, objects_of(resolved));
	pinned.leave();
	return json;
}

} // namespace safe_migrate::jobs::throttle
