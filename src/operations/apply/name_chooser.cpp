// See name_chooser.hpp.
#include "operations/apply/name_chooser.hpp"

#include "operations/column/definition.hpp"
#include "operations/index/definition.hpp"
#include "pg/compat_alter.hpp"

extern "C" {
#include "access/genam.h"
#include "access/relation.h"
#include "catalog/namespace.h"
#include "catalog/pg_constraint.h"
#include "commands/defrem.h"
#include "parser/parse_target.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
}

namespace safe_migrate::operations::apply {

bool is_among(const List *names, const char *name)
{
	ListCell *cell;
	foreach (cell, names)
		if (strcmp(static_cast<const char *>(lfirst(cell)), name) == 0)
			return true;
	return false;
}

namespace {

List *names_of_kind(const NameChooser &chooser, Named kind)
{
	List *names = NIL;
	ListCell *cell;
	foreach (cell, chooser.names) {
		const auto *chosen = static_cast<const ChosenName *>(lfirst(cell));
		if (chosen->kind == kind)
			names = lappend(names, const_cast<char *>(chosen->name));
	}
	return names;
}

void add_name(NameChooser *chooser, Named kind, const char *name, bool is_key = false)
{
	auto *chosen = static_cast<ChosenName *>(palloc(sizeof(ChosenName)));
	*chosen = {kind, name, is_key};
	chooser->names = lappend(chooser->names, chosen);
}

void choose_relation(NameChooser *chooser, const char *second, const char *label, bool is_key)
{
	List *others = names_of_kind(*chooser, Named::relation);
	const char *name = ChooseRelationName(chooser->of, second, label, chooser->schema, is_key);
	for (int i = 1; is_among(others, name); i++)
		name = ChooseRelationName(chooser->of, second, psprintf("%s%d", label, i), chooser->schema,
								  is_key);
	add_name(chooser, Named::relation, name, is_key);
}

void choose_constraint(NameChooser *chooser, const char *second, const char *label)
{
	add_name(chooser, Named::constraint,
			 ChooseConstraintName(chooser->of, second, label, chooser->schema,
								  names_of_kind(*chooser, Named::constraint)));
}

// ---------------------------------------------------------------- columns that are read

struct ColumnsRead {
	const char *column;
	bool several;
};

bool note_columns(Node *node, void *context)
{
	auto *read = static_cast<ColumnsRead *>(context);
	if (!node)
		return false;
	if (!IsA(node, ColumnRef))
		return pg::walk_raw(node, note_columns, read);
	Node *last = static_cast<Node *>(llast(castNode(ColumnRef, node)->fields));
	const char *column = IsA(last, String) ? strVal(last) : ""; // of a whole row
	read->several |= read->column && strcmp(read->column, column) != 0;
	read->column = column;
	return false;
}

// The only one, as AddRelationNewConstraints() looks for it; nullptr: none, or several.
const char *only_column(Node *expression)
{
	ColumnsRead read = {};
	(void)note_columns(expression, &read);
	return read.several || !read.column || !*read.column ? nullptr : read.column;
}

// ---------------------------------------------------------------- columns of keys

List *texts_of(const List *strings)
{
	List *texts = NIL;
	ListCell *cell;
	foreach (cell, strings)
		texts = lappend(texts, strVal(lfirst(cell)));
	return texts;
}

// Elements as transformIndexStmt() and transformIndexConstraint() leave them.
List *element_names(const List *elements)
{
	List *named = NIL;
	ListCell *cell;
	foreach (cell, elements) {
		auto *element = static_cast<IndexElem *>(copyObjectImpl(lfirst(cell)));
		if (element->expr && !element->indexcolname)
			element->indexcolname = FigureIndexColname(element->expr);
		named = lappend(named, element);
	}
	return index::choose_column_names(named);
}

List *key_columns(const Constraint *parsed, const char *column)
{
	List *columns = NIL;
	if (parsed->contype == CONSTR_EXCLUSION) {
		List *elements = NIL;
		ListCell *cell;
		foreach (cell, parsed->exclusions)
			elements = lappend(elements, linitial(lfirst_node(List, cell)));
		columns = element_names(elements);
	} else
		columns = column ? list_make1(const_cast<char *>(column)) : texts_of(parsed->keys);
	return list_concat(columns, texts_of(parsed->including));
}

void choose_key(NameChooser *chooser, const Constraint *parsed, const char *column)
{
	if (parsed->indexname)
		return; // the index gives it its name
	const char *columns = index::joined_names(key_columns(parsed, column));
	if (parsed->contype == CONSTR_PRIMARY)
		choose_relation(chooser, nullptr, "pkey", true);
	else
		choose_relation(chooser, columns, parsed->contype == CONSTR_UNIQUE ? "key" : "excl", true);
}

// ---------------------------------------------------------------- copies

void choose_index_like(NameChooser *chooser, Oid oid)
{
	Relation index = index_open(oid, AccessShareLock);
	List *columns = NIL;
	for (int i = 0; i < RelationGetNumberOfAttributes(index); i++)
		columns =
			lappend(columns, pstrdup(NameStr(TupleDescAttr(RelationGetDescr(index), i)->attname)));
	bool is_key = OidIsValid(get_index_constraint(oid));
	const char *label = index->rd_index->indisexclusion ? "excl" : is_key ? "key" : "idx";
	if (index->rd_index->indisprimary)
		choose_relation(chooser, nullptr, "pkey", true);
	else
		choose_relation(chooser, index::joined_names(columns), label, is_key);
	index_close(index, NoLock);
}

void choose_indexes_like(NameChooser *chooser, Relation relation)
{
	ListCell *cell;
	foreach (cell, RelationGetIndexList(relation))
		choose_index_like(chooser, lfirst_oid(cell));
}

void choose_identity_like(NameChooser *chooser, Relation relation)
{
	TupleDesc desc = RelationGetDescr(relation);
	for (int i = 0; i < desc->natts; i++)
		if (TupleDescAttr(desc, i)->attidentity != '\0')
			chooser->sequence(pstrdup(NameStr(TupleDescAttr(desc, i)->attname)));
}

bool names_sequence(const Constraint *identity)
{
	ListCell *cell;
	foreach (cell, identity->options)
		if (strcmp(lfirst_node(DefElem, cell)->defname, "sequence_name") == 0)
			return true;
	return false;
}

} // namespace

void NameChooser::sequence(const char *column) { choose_relation(this, column, "seq", false); }

void NameChooser::identity(const Constraint *parsed, const char *column)
{
	if (!names_sequence(parsed))
		sequence(column);
}

void NameChooser::index(const List *elements)
{
	choose_relation(this, index::joined_names(element_names(elements)), "idx", false);
}

void NameChooser::check(Node *expression)
{
	choose_constraint(this, only_column(expression), "check");
}

void NameChooser::statistics(const List *columns)
{
	const char *second = index::joined_names(columns);
	const char *name = makeObjectName(of, second, "stat");
	for (int i = 1;
		 SearchSysCacheExists2(STATEXTNAMENSP, CStringGetDatum(name), ObjectIdGetDatum(schema));
		 i++)
		name = makeObjectName(of, second, psprintf("stat%d", i));
	add_name(this, Named::statistics, name);
}

void NameChooser::constraint(const Constraint *parsed, const char *column)
{
	if (parsed->conname)
		return;
	switch (parsed->contype) {
		case CONSTR_PRIMARY:
		case CONSTR_UNIQUE:
		case CONSTR_EXCLUSION:
			return choose_key(this, parsed, column);
		case CONSTR_CHECK:
			return check(parsed->raw_expr);
		case CONSTR_FOREIGN:
			return choose_constraint(
				this, column ? column : index::joined_names(texts_of(parsed->fk_attrs)), "fkey");
		default:
			return;
	}
}

void NameChooser::column(const ColumnDef *definition)
{
	bool serial = definition->typeName && OidIsValid(column::serial_type(definition->typeName));
	bool not_null = definition->is_not_null || serial, named = false;
	if (serial)
		sequence(definition->colname);
	ListCell *cell;
	foreach (cell, definition->constraints) {
		const auto *parsed = lfirst_node(Constraint, cell);
		if (parsed->contype == CONSTR_IDENTITY)
			identity(parsed, definition->colname);
		not_null |= parsed->contype == CONSTR_NOTNULL || parsed->contype == CONSTR_PRIMARY ||
					parsed->contype == CONSTR_IDENTITY;
		named |= parsed->contype == CONSTR_NOTNULL && parsed->conname;
		constraint(parsed, definition->colname);
	}
	if (pg::not_null_is_a_constraint && not_null && !named)
		choose_constraint(this, definition->colname, "not_null");
}

void NameChooser::like(const TableLikeClause *clause)
{
	Oid oid = RangeVarGetRelid(clause->relation, NoLock, false);
	Relation relation = relation_open(oid, AccessShareLock);
	if ((clause->options & CREATE_TABLE_LIKE_IDENTITY) != 0)
		choose_identity_like(this, relation);
	if ((clause->options & CREATE_TABLE_LIKE_INDEXES) != 0)
		choose_indexes_like(this, relation);
	relation_close(relation, NoLock);
}

void NameChooser::indexes_of(const RangeVar *parent)
{
	Relation relation = relation_openrv(parent, AccessShareLock);
	choose_indexes_like(this, relation);
	relation_close(relation, NoLock);
}

} // namespace safe_migrate::operations::apply
