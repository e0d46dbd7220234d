// See check.hpp.  Sub-commands of one ALTER TABLE that can't go together, whatever the catalog
// says.
#include "operations/apply/check/check.hpp"

extern "C" {
#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "nodes/parsenodes.h"
#include "parser/parse_type.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

namespace safe_migrate::operations::apply {

namespace {

const char *added_column(const AlterTableCmd *command)
{
	return command->subtype == AT_AddColumn && !command->missing_ok
			   ? castNode(ColumnDef, command->def)->colname
			   : nullptr;
}

const char *added_constraint(const AlterTableCmd *command)
{
	return command->subtype == AT_AddConstraint ? castNode(Constraint, command->def)->conname
												: nullptr;
}

const char *dropped_column(const AlterTableCmd *command)
{
	return command->subtype == AT_DropColumn && !command->missing_ok ? command->name : nullptr;
}

const char *dropped_constraint(const AlterTableCmd *command)
{
	return command->subtype == AT_DropConstraint && !command->missing_ok ? command->name : nullptr;
}

const char *column_of_new_type(const AlterTableCmd *command)
{
	return command->subtype == AT_AlterColumnType ? command->name : nullptr;
}

bool adds_primary_key(const AlterTableCmd *command)
{
	if (command->subtype == AT_AddConstraint)
		return castNode(Constraint, command->def)->contype == CONSTR_PRIMARY;
	if (command->subtype != AT_AddColumn)
		return false;
	ListCell *cell;
	foreach (cell, castNode(ColumnDef, command->def)->constraints)
		if (lfirst_node(Constraint, cell)->contype == CONSTR_PRIMARY)
			return true;
	return false;
}

// As ATPrepCmd(): not where the first leaves it as it is.
void check_persistence(const AlterTableStmt *alter)
{
	Oid relation = RangeVarGetRelid(alter->relation, NoLock, true);
	if (!OidIsValid(relation))
		return;
	char now = get_rel_persistence(relation);
	bool changes = false;
	ListCell *cell;
	foreach (cell, alter->cmds) {
		AlterTableType type = lfirst_node(AlterTableCmd, cell)->subtype;
		if (type != AT_SetLogged && type != AT_SetUnLogged)
			continue;
		if (changes)
			refuse(ERRCODE_FEATURE_NOT_SUPPORTED, "cannot change persistence setting twice");
		changes =
			now != (type == AT_SetLogged ? RELPERSISTENCE_PERMANENT : RELPERSISTENCE_UNLOGGED);
	}
}

bool sets_tablespace(const AlterTableCmd *command) { return command->subtype == AT_SetTableSpace; }

// The name that a second sub-command gives like an earlier one; nullptr: none.
const char *repeated(const AlterTableStmt *alter, const char *(*name_of)(const AlterTableCmd *))
{
	ListCell *cell;
	foreach (cell, alter->cmds) {
		const char *name = name_of(lfirst_node(AlterTableCmd, cell));
		for (int i = 0; name && i < foreach_current_index(cell); i++) {
			const char *other = name_of(list_nth_node(AlterTableCmd, alter->cmds, i));
			if (other && strcmp(name, other) == 0)
				return name;
		}
	}
	return nullptr;
}

bool is_repeated(const AlterTableStmt *alter, bool (*is)(const AlterTableCmd *))
{
	int n = 0;
	ListCell *cell;
	foreach (cell, alter->cmds)
		n += is(lfirst_node(AlterTableCmd, cell)) ? 1 : 0;
	return n > 1;
}

// As ATExecAlterColumnType(): not where the first leaves it as it is.
void check_types_given(const AlterTableStmt *alter, const char *column)
{
	Oid relation = RangeVarGetRelid(alter->relation, NoLock, true);
	HeapTuple tuple = OidIsValid(relation) ? SearchSysCacheAttName(relation, column) : nullptr;
	if (!HeapTupleIsValid(tuple))
		return;
	auto *form = reinterpret_cast<Form_pg_attribute>(GETSTRUCT(tuple));
	Oid old_type = form->atttypid;
	int32 old_typmod = form->atttypmod;
	ReleaseSysCache(tuple);
	ListCell *cell;
	foreach (cell, alter->cmds) {
		const auto *command = lfirst_node(AlterTableCmd, cell);
		const char *name = column_of_new_type(command);
		if (!name || strcmp(name, column) != 0)
			continue;
		Oid type;
		int32 typmod;
		typenameTypeIdAndMod(nullptr, castNode(ColumnDef, command->def)->typeName, &type, &typmod);
		if (type != old_type || typmod != old_typmod)
			refuse(ERRCODE_FEATURE_NOT_SUPPORTED, "cannot alter type of column \"%s\" twice",
				   column);
		return;
	}
}

} // namespace

void check_parts_together(const AlterTableStmt *alter)
{
	if (alter->missing_ok && !OidIsValid(RangeVarGetRelid(alter->relation, NoLock, true)))
		return;
	const char *table = alter->relation->relname;
	check_persistence(alter);
	if (is_repeated(alter, sets_tablespace))
		refuse(ERRCODE_SYNTAX_ERROR, "cannot have multiple SET TABLESPACE subcommands");
	if (const char *name = repeated(alter, dropped_column))
		refuse(ERRCODE_UNDEFINED_COLUMN, "column \"%s\" of relation \"%s\" does not exist", name,
			   table);
	if (const char *name = repeated(alter, dropped_constraint))
		refuse(ERRCODE_UNDEFINED_OBJECT, "constraint \"%s\" of relation \"%s\" does not exist",
			   name, table);
	if (const char *name = repeated(alter, column_of_new_type))
		check_types_given(alter, name);
	if (const char *name = repeated(alter, added_column))
		refuse(ERRCODE_DUPLICATE_COLUMN, "column \"%s\" of relation \"%s\" already exists", name,
			   table);
	if (is_repeated(alter, adds_primary_key))
		refuse(ERRCODE_INVALID_TABLE_DEFINITION,
			   "multiple primary keys for table \"%s\" are not allowed", table);
	if (const char *name = repeated(alter, added_constraint))
		refuse(ERRCODE_DUPLICATE_OBJECT, "constraint \"%s\" for relation \"%s\" already exists",
			   name, table);
}

} // namespace safe_migrate::operations::apply
