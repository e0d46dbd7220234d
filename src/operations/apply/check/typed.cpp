// See check.hpp.  Tables of a composite type, and the type's attributes: ATExecAddOf(),
// ATTypedTableRecursion() and what follows it.
#include "operations/apply/check/check.hpp"

#include "pg/compat_alter.hpp"

extern "C" {
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "parser/parse_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/typcache.h"
}

namespace safe_migrate::operations::apply {

namespace {

using Attribute = const FormData_pg_attribute;

// The next column from *number on that is not dropped; nullptr: there is none.
Attribute *next_column(TupleDesc columns, int *number)
{
	while (*number < columns->natts) {
		Attribute *column = TupleDescAttr(columns, (*number)++);
		if (!column->attisdropped)
			return column;
	}
	return nullptr;
}

void compare_columns(Relation relation, TupleDesc type)
{
	TupleDesc table = RelationGetDescr(relation);
	int in_type = 0, in_table = 0;
	while (Attribute *wanted = next_column(type, &in_type)) {
		const char *name = NameStr(wanted->attname);
		Attribute *own = next_column(table, &in_table);
		if (!own)
			refuse(ERRCODE_DATATYPE_MISMATCH, "table is missing column \"%s\"", name);
		if (strcmp(NameStr(own->attname), name) != 0)
			refuse(ERRCODE_DATATYPE_MISMATCH, "table has column \"%s\" where type requires \"%s\"",
				   NameStr(own->attname), name);
		if (own->atttypid != wanted->atttypid || own->atttypmod != wanted->atttypmod ||
			own->attcollation != wanted->attcollation)
			refuse(ERRCODE_DATATYPE_MISMATCH, "table \"%s\" has different type for column \"%s\"",
				   RelationGetRelationName(relation), name);
	}
	if (Attribute *extra = next_column(table, &in_table))
		refuse(ERRCODE_DATATYPE_MISMATCH, "table has extra column \"%s\"", NameStr(extra->attname));
}

bool is_composite(Oid type)
{
	Oid relation = get_typ_typrelid(type);
	return OidIsValid(relation) && get_rel_relkind(relation) == RELKIND_COMPOSITE_TYPE;
}

} // namespace

void check_of_type(Relation relation, const AlterTableCmd *command)
{
	Oid type = typenameTypeId(nullptr, castNode(TypeName, command->def));
	if (!is_composite(type))
		refuse(ERRCODE_WRONG_OBJECT_TYPE,
			   OidIsValid(get_typ_typrelid(type)) ? pg::table_row_type_message
												  : "type %s is not a composite type",
			   format_type_be(type));
	if (has_superclass(RelationGetRelid(relation)))
		refuse(ERRCODE_WRONG_OBJECT_TYPE, "typed tables cannot inherit");
	TupleDesc columns = lookup_rowtype_tupdesc(type, -1);
	compare_columns(relation, columns);
	ReleaseTupleDesc(columns);
}

void check_attribute_command(Oid oid, const AlterTableCmd *command)
{
	const char *type = get_rel_name(oid);
	switch (command->subtype) {
		case AT_AddColumn: {
			const char *name = castNode(ColumnDef, command->def)->colname;
			(void)typed_tables(oid, command->behavior);
			if (get_attnum(oid, name) != InvalidAttrNumber)
				refuse(ERRCODE_DUPLICATE_COLUMN, "column \"%s\" of relation \"%s\" already exists",
					   name, type);
			return;
		}
		case AT_DropColumn:
			(void)typed_tables(oid, command->behavior);
			if (!command->missing_ok && get_attnum(oid, command->name) == InvalidAttrNumber)
				refuse(ERRCODE_UNDEFINED_COLUMN, "column \"%s\" of relation \"%s\" does not exist",
					   command->name, type);
			return;
		case AT_AlterColumnType:
			if (get_attnum(oid, command->name) == InvalidAttrNumber)
				refuse(ERRCODE_UNDEFINED_COLUMN, "column \"%s\" of relation \"%s\" does not exist",
					   command->name, type);
			(void)typed_tables(oid, command->behavior);
			return;
		default:
			return;
	}
}

} // namespace safe_migrate::operations::apply
