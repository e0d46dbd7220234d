// See check.hpp.  ADD COLUMN: what add_column_safely() has to say of it, and what the server says
// of the rest (ATExecAddColumn(), transformColumnDefinition()).
#include "operations/apply/check/check.hpp"

#include "operations/column/steps.hpp"
#include "operations/constraint/add.hpp"
#include "operations/ddl/parse_analysis.hpp"
#include "pg/compat_alter.hpp"
#include "pg/transaction.hpp"

extern "C" {
#include "access/toast_compression.h"
#include "catalog/heap.h"
#include "commands/tablecmds.h"
#include "parser/parse_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
}

namespace safe_migrate::operations::apply {

namespace {

bool has_constraint(const ColumnDef *definition, ConstrType type)
{
	ListCell *cell;
	foreach (cell, definition->constraints)
		if (lfirst_node(Constraint, cell)->contype == type)
			return true;
	return false;
}

void check_compression(const char *method, Oid type)
{
	if (!method || strcmp(method, "default") == 0)
		return;
	if (!TypeIsToastable(type))
		refuse(ERRCODE_FEATURE_NOT_SUPPORTED, "column data type %s does not support compression",
			   format_type_be(type));
	if (!CompressionMethodIsValid(CompressionNameToMethod(method)))
		refuse(ERRCODE_INVALID_PARAMETER_VALUE, "invalid compression method \"%s\"", method);
}

void check_type_of_new(Relation relation, ColumnDef *definition)
{
	if (!definition->typeName ||
		!OidIsValid(LookupTypeNameOid(nullptr, definition->typeName, true)))
		return; // serial
	Oid type;
	int32 typmod;
	typenameTypeIdAndMod(nullptr, definition->typeName, &type, &typmod);
	if (has_constraint(definition, CONSTR_IDENTITY))
		check_identity_type(type);
	CheckAttributeType(definition->colname, type, GetColumnDefCollation(nullptr, definition, type),
					   list_make1_oid(relation->rd_rel->reltype), 0);
	check_compression(definition->compression, type);
	if (const char *mode = pg::storage_name(definition))
		check_storage_mode(mode, type);
}

// As ATExecAddColumn() has ATRewriteTables() look for them.
bool has_values(const ColumnDef *definition)
{
	bool is_serial =
		definition->typeName && !OidIsValid(LookupTypeNameOid(nullptr, definition->typeName, true));
	return is_serial || has_constraint(definition, CONSTR_DEFAULT) ||
		   has_constraint(definition, CONSTR_IDENTITY) ||
		   has_constraint(definition, CONSTR_GENERATED);
}

} // namespace

// What follows the words ADD COLUMN is read as add_column_safely() reads it.
void check_new_column(const Unit &unit, Relation relation, const AlterTableCmd *command)
{
	auto *definition = castNode(ColumnDef, command->def);
	ddl::check_by_parse_analysis(relation, command, unit.sql);
	column::check_name(relation, definition->colname);
	check_type_of_new(relation, definition);
	if (has_values(definition))
		find_composite_type_dependencies(relation->rd_rel->reltype, relation, nullptr);
	if (has_constraint(definition, CONSTR_PRIMARY))
		constraint::refuse_second_primary_key(relation);
	const char *text = text_after_add(unit);
	if (!text)
		return;
	if (pg_strncasecmp(text, "column", 6) == 0) // a name would be quoted
		text += 6;
	ErrorData *error = pg::try_undone([&] { (void)column::read_definition(relation, text); });
	if (error && error->sqlerrcode != ERRCODE_FEATURE_NOT_SUPPORTED) // by a recipe
		ReThrowError(error);
}

} // namespace safe_migrate::operations::apply
