// See domain.hpp.
#include "operations/column/domain.hpp"

#include "pg/compat_executor.hpp"
#include "pg/pinned_settings.hpp"
#include "statement/folding.hpp"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_type.h"
#include "common/keywords.h"
#include "lib/stringinfo.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/scanner.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"
}

namespace safe_migrate::operations::column {

namespace {

// VALUE as a parameter, which no other part of a domain's condition can be.
Node *value_as_parameter(Node *node, void *)
{
	if (node == nullptr)
		return nullptr;
	if (IsA(node, CoerceToDomainValue)) {
		const auto *value = reinterpret_cast<const CoerceToDomainValue *>(node);
		Param *parameter = makeNode(Param);
		parameter->paramkind = PARAM_EXTERN;
		parameter->paramid = 1;
		parameter->paramtype = value->typeId;
		parameter->paramtypmod = value->typeMod;
		parameter->paramcollid = value->collation;
		parameter->location = -1;
		return reinterpret_cast<Node *>(parameter);
	}
	return pg::mutate_expression(node, value_as_parameter, nullptr);
}

// The text with the column's name for each parameter in it.
char *with_column(const char *text, const char *column)
{
	core_yy_extra_type extra;
	core_YYSTYPE value;
	YYLTYPE location = 0;
	core_yyscan_t scanner = scanner_init(text, &extra, &ScanKeywords, ScanKeywordTokens);
	StringInfoData result;
	initStringInfo(&result);
	const char *from = text;
	while (core_yylex(&value, &location, scanner) != 0) {
		const char *token = text + location;
		if (*token != '$' || token[1] != '1')
			continue;
		appendBinaryStringInfo(&result, from, static_cast<int>(token - from));
		appendStringInfoString(&result, quote_identifier(column));
		from = token + 2;
	}
	appendStringInfoString(&result, from);
	scanner_finish(scanner);
	return result.data;
}

char *condition_on(const char *stored, const char *column)
{
	Node *expression = value_as_parameter(static_cast<Node *>(stringToNode(stored)), nullptr);
	pg::PinnedSettings pinned = {};
	pinned.enter();
	char *text = deparse_expression(expression, NIL, false, false);
	pinned.leave();
	return with_column(text, column);
}

struct Check {
	char *name;
	char *condition;
};

int compare_names(const ListCell *a, const ListCell *b)
{
	return strcmp(static_cast<const Check *>(lfirst(a))->name,
				  static_cast<const Check *>(lfirst(b))->name);
}

// The CHECKs of one domain, in the order of their names: the server's order of evaluation
// (load_domaintype_info()), and no accident of where their rows lie.
void append_checks(DomainParts *parts, Oid domain, const char *column)
{
	Relation catalog = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData key;
	ScanKeyInit(&key, Anum_pg_constraint_contypid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(domain));
	SysScanDesc scan = systable_beginscan(catalog, ConstraintTypidIndexId, true, nullptr, 1, &key);
	List *found = NIL;
	while (HeapTuple tuple = systable_getnext(scan)) {
		auto form = reinterpret_cast<Form_pg_constraint>(GETSTRUCT(tuple));
		bool is_null;
		Datum stored =
			heap_getattr(tuple, Anum_pg_constraint_conbin, RelationGetDescr(catalog), &is_null);
		if (form->contype != CONSTRAINT_CHECK || is_null)
			continue;
		auto *check = static_cast<Check *>(palloc(sizeof(Check)));
		*check = {pstrdup(NameStr(form->conname)),
				  condition_on(TextDatumGetCString(stored), column)};
		found = lappend(found, check);
	}
	systable_endscan(scan);
	table_close(catalog, NoLock);
	list_sort(found, compare_names);
	List *conditions = NIL;
	ListCell *cell;
	foreach (cell, found)
		conditions = lappend(conditions, static_cast<Check *>(lfirst(cell))->condition);
	parts->checks = list_concat(conditions, parts->checks);
}

} // namespace

bool is_constrained_domain(Oid type)
{
	return get_typtype(type) == TYPTYPE_DOMAIN && statement::domain_has_constraints(type);
}

DomainParts take_apart(Oid domain, const char *column)
{
	DomainParts parts = {};
	parts.type = domain;
	parts.typmod = -1;
	parts.collation = get_typcollation(domain);
	while (get_typtype(parts.type) == TYPTYPE_DOMAIN) {
		append_checks(&parts, parts.type, column);
		HeapTuple tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(parts.type));
		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for type %u", parts.type);
		auto form = reinterpret_cast<Form_pg_type>(GETSTRUCT(tuple));
		parts.is_not_null = parts.is_not_null || form->typnotnull;
		parts.type = form->typbasetype;
		parts.typmod = form->typtypmod;
		ReleaseSysCache(tuple);
	}
	return parts;
}

} // namespace safe_migrate::operations::column
