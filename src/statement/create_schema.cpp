// CREATE SCHEMA with elements.  Follows CreateSchemaCommand() and transformCreateSchemaStmt(): all
// elements are in the new schema, which is the first in the search path, and tables are made in the
// order in which they are written.
#include "statement/relations.hpp"

extern "C" {
#include "nodes/makefuncs.h"
#include "utils/acl.h"
}

namespace safe_migrate::statement {

namespace {

// Of the elements only a table reaches beyond the schema: indexes and triggers are on its tables.
struct NewSchema : NameSource {
	const NameSource *outside;
	const char *schema;
	List *tables; // names of those made so far
};

bool has_table(const NewSchema *made, const char *name)
{
	ListCell *cell;
	foreach (cell, made->tables)
		if (strcmp(static_cast<const char *>(lfirst(cell)), name) == 0)
			return true;
	return false;
}

bool find_in_new_schema(const NameSource *self, const RangeVar *name, bool missing_ok,
						Target *target)
{
	auto *made = static_cast<const NewSchema *>(self);
	bool may_be_here = name->schemaname == nullptr || strcmp(name->schemaname, made->schema) == 0;
	if (may_be_here && has_table(made, name->relname)) {
		*target = {InvalidOid, 0, made->schema, name->relname};
		return true;
	}
	return made->outside != nullptr && made->outside->find(made->outside, name, missing_ok, target);
}

// With the name that the server gives it: setSchemaName().
CreateStmt table_in(const NewSchema &made, const CreateStmt *element)
{
	CreateStmt table = *element;
	table.relation = makeRangeVar(const_cast<char *>(made.schema), element->relation->relname, -1);
	return table;
}

} // namespace

void analyse_create_schema(Analysis *analysis, const CreateSchemaStmt *statement)
{
	NewSchema made = {};
	made.find = find_in_new_schema;
	made.outside = analysis->names;
	made.schema = statement->schemaname != nullptr ? statement->schemaname
												   : get_rolespec_name(statement->authrole);
	analysis->names = &made;
	ListCell *cell;
	foreach (cell, statement->schemaElts) {
		auto *element = static_cast<Node *>(lfirst(cell));
		if (!IsA(element, CreateStmt))
			continue;
		CreateStmt table = table_in(made, castNode(CreateStmt, element));
		analyse_create_table(analysis, &table);
		made.tables = lappend(made.tables, table.relation->relname);
	}
	analysis->names = made.outside;
}

} // namespace safe_migrate::statement
