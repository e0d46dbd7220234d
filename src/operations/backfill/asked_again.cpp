// See asked_again.hpp.
#include "operations/backfill/asked_again.hpp"

#include "operations/backfill/expression.hpp"
#include "pg/compat_analysis.hpp"

extern "C" {
#include "access/transam.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "optimizer/optimizer.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
}

namespace safe_migrate::operations::backfill {

namespace {

// Functions of the server whose result has nothing to do with the row.
constexpr const char *by_chance[] = {"random", "random_normal", "gen_random_uuid",
									 "uuidv4", "uuidv7",		"nextval"};

bool is_by_chance(Oid function, void *)
{
	if (function >= FirstNormalObjectId || func_volatile(function) != PROVOLATILE_VOLATILE)
		return false;
	const char *name = get_func_name(function);
	for (const char *other : by_chance)
		if (name && strcmp(name, other) == 0)
			return true;
	return false;
}

struct Search {
	ParseState *state;
	const List *relations;
	int depth;	  // of sub-selects
	bool negated; // what is found is left out
};

[[noreturn]] void raise_by_chance(const Search &search, const char *what, int location)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("the predicate can't depend on chance"),
		 errdetail("%s says something else each time, and the job looks at all rows again until "
				   "none matches: in the end all would have matched.",
				   what),
		 errhint("Let the row decide, as in id %% 10 = 0, or put the keys of the "
				 "rows into a table first."),
		 parser_errposition(search.state, location)));
	pg_unreachable();
}

[[noreturn]] void raise_limit(const Search &search, int location)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("the predicate can't take a number of rows of the table that the job writes"),
			 errdetail("The job looks at all rows again until none matches: once these are done, "
					   "LIMIT lets others match."),
			 errhint("Leave LIMIT out: the job works in batches of its own. For just these rows, "
					 "put their keys into a table first."),
			 parser_errposition(search.state, location)));
	pg_unreachable();
}

// Does it look at the row that the predicate is asked of?
bool is_correlated(const Query *query, int depth)
{
	auto *node = reinterpret_cast<Node *>(const_cast<Query *>(query));
	for (int level = 1; level <= depth; level++)
		if (contain_vars_of_level(node, level))
			return true;
	return false;
}

bool takes_rows_walker(Node *node, void *arg)
{
	auto *search = static_cast<Search *>(arg);
	if (node == nullptr)
		return false;
	if (!IsA(node, Query))
		return pg::walk_expression(node, takes_rows_walker, arg);
	auto *query = castNode(Query, node);
	search->depth++;
	bool found = ((query->limitCount || query->limitOffset) &&
				  !is_correlated(query, search->depth) && reads_rows_of(node, search->relations)) ||
				 pg::walk_query(query, takes_rows_walker, arg, 0);
	search->depth--;
	return found;
}

// x IN (…), EXISTS (…), x = ANY (ARRAY (…))
const SubLink *sub_select_of(Node *node)
{
	if (IsA(node, ScalarArrayOpExpr) && castNode(ScalarArrayOpExpr, node)->useOr) {
		auto *array = static_cast<Node *>(lsecond(castNode(ScalarArrayOpExpr, node)->args));
		return IsA(array, SubLink) ? castNode(SubLink, array) : nullptr;
	}
	if (!IsA(node, SubLink))
		return nullptr;
	const auto *link = castNode(SubLink, node);
	return link->subLinkType == ANY_SUBLINK || link->subLinkType == EXISTS_SUBLINK ? link : nullptr;
}

bool walker(Node *node, void *arg)
{
	auto *search = static_cast<Search *>(arg);
	if (node == nullptr)
		return false;
	if (IsA(node, TableSampleClause))
		raise_by_chance(*search, "TABLESAMPLE", -1);
	if (check_functions_in_node(node, is_by_chance, nullptr)) {
		Oid function = IsA(node, FuncExpr) ? castNode(FuncExpr, node)->funcid : InvalidOid;
		raise_by_chance(*search,
						OidIsValid(function) ? format_procedure(function) : "A function of it",
						exprLocation(node));
	}
	if (IsA(node, NextValueExpr))
		raise_by_chance(*search, "nextval()", -1);
	const SubLink *link = search->negated ? nullptr : sub_select_of(node);
	if (link && takes_rows_walker(link->subselect, arg))
		raise_limit(*search, link->location);
	Search inner = *search;
	if (is_notclause(node))
		inner.negated = !inner.negated;
	if (!IsA(node, Query))
		return pg::walk_expression(node, walker, &inner);
	inner.depth++;
	return pg::walk_query(castNode(Query, node), walker, &inner, 0);
}

// ---------------------------------------------------------------- what may

bool is_foreign_volatile(Oid function, void *found)
{
	if (function < FirstNormalObjectId || func_volatile(function) != PROVOLATILE_VOLATILE)
		return false;
	*static_cast<Oid *>(found) = function;
	return true;
}

bool volatile_walker(Node *node, void *found)
{
	if (node == nullptr)
		return false;
	if (check_functions_in_node(node, is_foreign_volatile, found))
		return true;
	if (IsA(node, Query))
		return pg::walk_query(castNode(Query, node), volatile_walker, found, 0);
	return pg::walk_expression(node, volatile_walker, found);
}

constexpr const char *keys_first =
	"Where just the rows of one statement are meant, put their keys into a table first and let the "
	"predicate look there.";

} // namespace

void check_asked_again(ParseState *state, Node *predicate, const List *relations)
{
	Search search = {state, relations, 0, false};
	(void)walker(predicate, &search);
}

void note_asked_again(Node *predicate, const List *relations)
{
	if (reads_rows_of(predicate, relations))
		ereport(NOTICE,
				(errmsg("the predicate reads the table that the job writes"),
				 errdetail("The job goes on until no row matches: rows that come to match by "
						   "what it has done are done, too."),
				 errhint("%s", keys_first)));
	Oid function = InvalidOid;
	if (volatile_walker(predicate, &function))
		ereport(NOTICE,
				(errmsg("the predicate calls volatile function %s", format_procedure(function)),
				 errdetail("The job asks it of each row again and again, until no row "
						   "matches."),
				 errhint("Where it always says the same of the same row, declare it STABLE "
						 "or IMMUTABLE. %s",
						 keys_first)));
}

} // namespace safe_migrate::operations::backfill
