// See definition.hpp.
#include "operations/index/definition.hpp"

#include "operations/ddl/sql.hpp"
#include "operations/ddl/target.hpp"
#include "operations/index/check.hpp"
#include "operations/user_text.hpp"
#include "pg/compat_analysis.hpp"
#include "pg/pinned_settings.hpp"
#include "statement/index_match.hpp"

extern "C" {
#include "access/genam.h"
#include "access/reloptions.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_opclass.h"
#include "commands/defrem.h"
#include "commands/tablespace.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_utilcmd.h"
#include "parser/parser.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"
}

namespace safe_migrate::operations::index {

namespace {

void not_an_index(const UserText &text, int location)
{
	ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR),
					errmsg("the definition must be one CREATE INDEX statement, and nothing else"),
					errhint("For example: 'CREATE INDEX ON orders (created)'."),
					position_of(text, location)));
}

// ---------------------------------------------------------------- names

bool is_taken(const char *name, const List *taken)
{
	ListCell *cell;
	foreach (cell, taken)
		if (strcmp(name, static_cast<const char *>(lfirst(cell))) == 0)
			return true;
	return false;
}

// ---------------------------------------------------------------- SQL

void append_options(StringInfo text, const List *options)
{
	ListCell *cell;
	foreach (cell, options) {
		auto *option = lfirst_node(DefElem, cell);
		appendStringInfo(text, "%s%s", cell == list_head(options) ? "" : ", ",
						 quote_identifier(option->defname));
		if (option->arg)
			appendStringInfo(text, " = %s", quote_literal_cstr(defGetString(option)));
	}
}

char *collation_name(const List *name)
{
	Oid oid = get_collation_oid(const_cast<List *>(name), false);
	HeapTuple tuple = SearchSysCache1(COLLOID, ObjectIdGetDatum(oid));
	auto form = reinterpret_cast<Form_pg_collation>(GETSTRUCT(tuple));
	char *text = quote_qualified_identifier(get_namespace_name(form->collnamespace),
											NameStr(form->collname));
	ReleaseSysCache(tuple);
	return text;
}

char *opclass_name(const IndexElem *element, Oid type, const char *method)
{
	Oid oid = ResolveOpClass(element->opclass, type, method, get_index_am_oid(method, false));
	HeapTuple tuple = SearchSysCache1(CLAOID, ObjectIdGetDatum(oid));
	auto form = reinterpret_cast<Form_pg_opclass>(GETSTRUCT(tuple));
	char *text =
		quote_qualified_identifier(get_namespace_name(form->opcnamespace), NameStr(form->opcname));
	ReleaseSysCache(tuple);
	return text;
}

Oid type_of(Relation relation, const IndexElem *element)
{
	if (element->expr)
		return exprType(element->expr);
	AttrNumber number = get_attnum(RelationGetRelid(relation), element->name);
	return get_atttype(RelationGetRelid(relation), number);
}

// A column or an expression; where it may need parentheses it has them.
char *key_text(const IndexElem *element, List *context)
{
	if (!element->expr)
		return pstrdup(quote_identifier(element->name));
	pg::PinnedSettings pinned = {};
	pinned.enter();
	char *text = deparse_expression(element->expr, context, false, false);
	pinned.leave();
	return psprintf("(%s)", text);
}

void append_element(StringInfo text, Relation relation, const IndexElem *element, const char *key,
					const char *method)
{
	appendStringInfoString(text, key);
	if (element->collation != NIL)
		appendStringInfo(text, " COLLATE %s", collation_name(element->collation));
	Oid type = type_of(relation, element);
	if (element->opclass != NIL)
		appendStringInfo(text, " %s", opclass_name(element, type, method));
	else if (element->opclassopts != NIL) // options need the class's name before them
		appendStringInfo(text, " %s", opclass_name(element, type, method));
	if (element->opclassopts != NIL) {
		appendStringInfoString(text, " (");
		append_options(text, element->opclassopts);
		appendStringInfoChar(text, ')');
	}
	if (element->ordering != SORTBY_DEFAULT)
		appendStringInfoString(text, element->ordering == SORTBY_DESC ? " DESC" : " ASC");
	if (element->nulls_ordering != SORTBY_NULLS_DEFAULT)
		appendStringInfoString(text, element->nulls_ordering == SORTBY_NULLS_FIRST ? " NULLS FIRST"
																				   : " NULLS LAST");
}

// As DefineIndex() takes it where the statement names none; nullptr: the database's.
const char *default_space(Relation relation)
{
	Oid space = GetDefaultTablespace(relation->rd_rel->relpersistence,
									 relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE);
	return OidIsValid(space) ? get_tablespace_name(space) : nullptr;
}

void append_clauses(StringInfo text, Relation relation, const IndexStmt *statement,
					const char *predicate)
{
	if (statement->indexIncludingParams != NIL) {
		appendStringInfoString(text, " INCLUDE (");
		ListCell *cell;
		foreach (cell, statement->indexIncludingParams)
			appendStringInfo(text, "%s%s",
							 cell == list_head(statement->indexIncludingParams) ? "" : ", ",
							 quote_identifier(lfirst_node(IndexElem, cell)->name));
		appendStringInfoChar(text, ')');
	}
	if (statement->nulls_not_distinct)
		appendStringInfoString(text, " NULLS NOT DISTINCT");
	if (statement->options != NIL) {
		appendStringInfoString(text, " WITH (");
		append_options(text, statement->options);
		appendStringInfoChar(text, ')');
	}
	const char *space = statement->tableSpace ? statement->tableSpace : default_space(relation);
	if (space)
		appendStringInfo(text, " TABLESPACE %s", quote_identifier(space));
	if (predicate)
		appendStringInfo(text, " WHERE %s", predicate);
}

IndexStmt *parse(const UserText &text)
{
	Node *statement = parse_statement(text, not_an_index);
	if (!IsA(statement, IndexStmt))
		not_an_index(text, 0);
	return castNode(IndexStmt, statement);
}

} // namespace

Definition make_definition(Relation relation, IndexStmt *parsed, const char *source)
{
	Definition definition = {};
	definition.relation = RelationGetRelid(relation);
	definition.parsed = parsed;
	auto *statement = transformIndexStmt(definition.relation,
										 static_cast<IndexStmt *>(copyObjectImpl(parsed)), source);
	check_index(relation, statement);
	List *context =
		deparse_context_for(RelationGetRelationName(relation), RelationGetRelid(relation));
	const char *method = statement->accessMethod ? statement->accessMethod : DEFAULT_INDEX_TYPE;
	if (strcmp(method, "rtree") == 0)
		method = "gist";
	StringInfoData text;
	initStringInfo(&text);
	appendStringInfo(&text, "USING %s (", quote_identifier(method));
	ListCell *cell;
	foreach (cell, statement->indexParams) {
		const IndexElem *element = lfirst_node(IndexElem, cell);
		char *key = key_text(element, context);
		if (definition.keys != NIL)
			appendStringInfoString(&text, ", ");
		append_element(&text, relation, element, key, method);
		definition.keys = lappend(definition.keys, key);
		definition.has_expression = definition.has_expression || element->expr;
	}
	appendStringInfoChar(&text, ')');
	if (statement->whereClause) {
		pg::PinnedSettings pinned = {};
		pinned.enter();
		definition.predicate = deparse_expression(statement->whereClause, context, false, false);
		pinned.leave();
	}
	append_clauses(&text, relation, statement, definition.predicate);
	definition.body = text.data;
	definition.column_names = choose_column_names(
		list_concat_copy(statement->indexParams, statement->indexIncludingParams));
	return definition;
}

Definition read_definition(const char *source)
{
	UserText text = user_text("definition", "", source);
	text.enter();
	IndexStmt *parsed = parse(text);
	Oid oid = RangeVarGetRelid(parsed->relation, NoLock, false);
	Relation relation = ddl::open_owned_indexable(oid);
	Definition definition = make_definition(relation, parsed, source);
	table_close(relation, NoLock);
	text.leave();
	return definition;
}

Definition own_definition(Relation relation, const char *sql)
{
	List *statements = raw_parser(sql, RAW_PARSE_DEFAULT);
	return make_definition(relation, castNode(IndexStmt, linitial_node(RawStmt, statements)->stmt),
						   sql);
}

List *choose_column_names(const List *elements)
{
	List *names = NIL;
	ListCell *cell;
	foreach (cell, elements) {
		const IndexElem *element = lfirst_node(IndexElem, cell);
		const char *wanted = element->indexcolname ? element->indexcolname
							 : element->name	   ? element->name
												   : "expr";
		const char *name = wanted;
		for (int i = 1;; i++) {
			bool used = false;
			ListCell *other;
			foreach (other, names)
				used = used || strcmp(name, static_cast<const char *>(lfirst(other))) == 0;
			if (!used)
				break;
			char *number = psprintf("%d", i);
			int length = pg_mbcliplen(wanted, static_cast<int>(strlen(wanted)),
									  NAMEDATALEN - 1 - static_cast<int>(strlen(number)));
			name = psprintf("%.*s%s", length, wanted, number);
		}
		names = lappend(names, pstrdup(name));
	}
	return names;
}

char *options_text(const List *options)
{
	StringInfoData text;
	initStringInfo(&text);
	append_options(&text, options);
	return text.data;
}

char *joined_names(const List *names)
{
	char text[NAMEDATALEN * 2];
	size_t length = 0;
	text[0] = '\0';
	ListCell *cell;
	foreach (cell, names) {
		if (length > 0)
			text[length++] = '_';
		strlcpy(text + length, static_cast<const char *>(lfirst(cell)), NAMEDATALEN);
		length += strlen(text + length);
		if (length >= NAMEDATALEN)
			break;
	}
	return pstrdup(text);
}

char *taken_name(Oid table, const char *name)
{
	return psprintf("%u.%s", get_rel_namespace(table), name);
}

char *choose_name(Relation relation, List *column_names, const char *label, List *taken)
{
	bool is_constraint = strcmp(label, "idx") != 0;
	const char *second = strcmp(label, "pkey") == 0 ? nullptr : joined_names(column_names);
	char *name = ChooseRelationName(RelationGetRelationName(relation), second, label,
									RelationGetNamespace(relation), is_constraint);
	for (int i = 1; is_taken(taken_name(RelationGetRelid(relation), name), taken); i++)
		name = ChooseRelationName(RelationGetRelationName(relation), second,
								  psprintf("%s%d", label, i), RelationGetNamespace(relation),
								  is_constraint);
	return name;
}

char *create_statement(const Definition &definition, const char *name, Oid relation,
					   bool concurrently)
{
	return psprintf("CREATE %sINDEX %s%s ON %s%s %s", definition.parsed->unique ? "UNIQUE " : "",
					concurrently ? "CONCURRENTLY " : "", quote_identifier(name),
					concurrently ? "" : "ONLY ", ddl::quoted_name(relation), definition.body);
}

// ---------------------------------------------------------------- what is there

namespace {

// Options of the operator class, as they are stored.
bool has_same_options(Relation index, int key, const IndexElem *element)
{
	Datum stored = get_attoptions(RelationGetRelid(index), static_cast<int16>(key + 1));
	Datum given = transformRelOptions(static_cast<Datum>(0), element->opclassopts, nullptr, nullptr,
									  false, false);
	if (stored == 0 || given == 0)
		return stored == given;
	return datumIsEqual(PointerGetDatum(PG_DETOAST_DATUM(stored)), given, false, -1);
}

// What CompareIndexInfo() leaves out: order of the keys, NULLs in it, options of their classes.
bool has_same_order(Relation index, const IndexStmt *statement)
{
	int i = 0;
	ListCell *cell;
	foreach (cell, statement->indexParams) {
		const IndexElem *element = lfirst_node(IndexElem, cell);
		bool descending = element->ordering == SORTBY_DESC;
		bool nulls_first = element->nulls_ordering == SORTBY_NULLS_DEFAULT
							   ? descending
							   : element->nulls_ordering == SORTBY_NULLS_FIRST;
		int options = (descending ? INDOPTION_DESC : 0) | (nulls_first ? INDOPTION_NULLS_FIRST : 0);
		if (index->rd_indam->amcanorder && index->rd_indoption[i] != options)
			return false;
		if (!has_same_options(index, i, element))
			return false;
		i++;
	}
	return true;
}

} // namespace

Existing compare_existing(const char *sql, Oid *found)
{
	*found = InvalidOid;
	pg::PinnedSettings pinned = {};
	pinned.enter();
	List *statements = raw_parser(sql, RAW_PARSE_DEFAULT);
	auto *statement = castNode(IndexStmt, linitial_node(RawStmt, statements)->stmt);
	Oid table_oid = RangeVarGetRelid(statement->relation, NoLock, false);
	Relation table = table_open(table_oid, AccessShareLock);
	Existing existing = Existing::none;
	Oid oid = get_relname_relid(statement->idxname, RelationGetNamespace(table));
	if (OidIsValid(oid)) {
		existing = Existing::different;
		*found = oid;
		char kind = get_rel_relkind(oid);
		bool is_index = kind == RELKIND_INDEX || kind == RELKIND_PARTITIONED_INDEX;
		if (is_index && IndexGetRelation(oid, true) == table_oid) {
			Relation index = index_open(oid, AccessShareLock);
			if (statement::is_same_index(table, index, statement, sql) &&
				has_same_order(index, statement))
				existing = index->rd_index->indisvalid ? Existing::same : Existing::same_invalid;
			index_close(index, AccessShareLock);
		}
	}
	table_close(table, NoLock);
	pinned.leave();
	return existing;
}

namespace {

// Left by an earlier try, of that definition?
bool is_wreck(Oid table, const Definition &definition, const char *name, List *taken)
{
	Oid found;
	return !is_taken(taken_name(table, name), taken) &&
		   compare_existing(create_statement(definition, name, table, true), &found) ==
			   Existing::same_invalid &&
		   !get_rel_relispartition(found) && !OidIsValid(get_index_constraint(found));
}

// Whoever made it, under whatever name; nullptr: none.
char *name_of_wreck(Relation relation, const Definition &definition, List *taken)
{
	ListCell *cell;
	foreach (cell, RelationGetIndexList(relation)) {
		char *name = get_index_isvalid(lfirst_oid(cell)) ? nullptr : get_rel_name(lfirst_oid(cell));
		if (name && is_wreck(RelationGetRelid(relation), definition, name, taken))
			return name;
	}
	return nullptr;
}

} // namespace

char *choose_partition_name(Relation relation, const Definition &definition, const char *label,
							List *taken)
{
	bool primary = strcmp(label, "pkey") == 0;
	char *first = makeObjectName(RelationGetRelationName(relation),
								 primary ? nullptr : joined_names(definition.column_names), label);
	if (is_wreck(RelationGetRelid(relation), definition, first, taken))
		return first;
	// (of a key it is the constraint's name, too)
	char *wreck = strcmp(label, "idx") == 0 ? name_of_wreck(relation, definition, taken) : nullptr;
	return wreck ? wreck : choose_name(relation, definition.column_names, label, taken);
}

} // namespace safe_migrate::operations::index
