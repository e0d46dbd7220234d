// Whose tables a statement changes that is run as it stands: ATPrepCmd() asks for the ownership of
// partitions and children, too, where a sub-command goes down to them.
#include "operations/apply/check/check.hpp"

#include "operations/constraint/add.hpp"
#include "operations/constraint/not_null.hpp"
#include "operations/constraint/parts.hpp"
#include "operations/drop/steps.hpp"
#include "pg/compat_alter.hpp"
#include "pg/compat_analysis.hpp"

extern "C" {
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
}

namespace safe_migrate::operations::apply {

namespace {

// SET NOT NULL, also the one that a primary key brings along.
void need_owners_of_nullable(ddl::Recipe *recipe, Relation relation, const char *column)
{
	AttrNumber number = get_attnum(RelationGetRelid(relation), column);
	bool stops_there =
		pg::not_null_can_be_not_valid || relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE;
	if (number > 0 && !(stops_there && constraint::is_not_null(relation, number)))
		ddl::need_owners(recipe, RelationGetRelid(relation));
}

// The columns may be those of sub-commands before it: only one that is alone is read as a whole.
void need_owners_of_constraint(ddl::Recipe *recipe, const Unit &unit, Relation relation,
							   const Constraint *parsed, bool alone)
{
	const char *text = text_after_add(unit);
	bool goes_down = (parsed->contype == CONSTR_CHECK || parsed->contype == CONSTR_NOTNULL) &&
					 !parsed->is_no_inherit;
	ListCell *cell;
	if (parsed->contype == CONSTR_CHECK && alone && text)
		constraint::check_children(recipe, RelationGetRelid(relation),
								   constraint::read_definition(relation, text));
	else if (goes_down)
		ddl::need_owners(recipe, RelationGetRelid(relation));
	else if (parsed->contype == CONSTR_PRIMARY)
		foreach (cell, parsed->keys)
			need_owners_of_nullable(recipe, relation, strVal(lfirst(cell)));
}

void need_owners_of_command(ddl::Recipe *recipe, const Unit &unit, Relation relation, bool alone)
{
	const auto *command =
		linitial_node(AlterTableCmd, castNode(AlterTableStmt, unit.statement)->cmds);
	Oid oid = RelationGetRelid(relation);
	switch (command->subtype) {
		case AT_AddColumn:
			if (get_attnum(oid, castNode(ColumnDef, command->def)->colname) == InvalidAttrNumber)
				ddl::need_owners(recipe, oid);
			break;
		case AT_SetNotNull:
			need_owners_of_nullable(recipe, relation, command->name);
			break;
		case AT_AddConstraint:
			need_owners_of_constraint(recipe, unit, relation, castNode(Constraint, command->def),
									  alone);
			break;
		case AT_DropColumn:
			drop::need_owners_of_column(recipe, oid, command->name);
			break;
		case AT_DropConstraint:
			drop::need_owners_of_constraint(recipe, oid, command->name);
			break;
		case AT_AddIdentity:
		case AT_SetIdentity:
		case AT_DropIdentity:
			if (pg::identity_recurses)
				ddl::need_owners(recipe, oid);
			break;
		case AT_ColumnDefault:
		case AT_DropNotNull:
		case AT_DropExpression:
		case AT_SetStorage:
		case AT_AlterColumnType:
			ddl::need_owners(recipe, oid);
			break;
		default:
			if (pg::is_set_expression(command))
				ddl::need_owners(recipe, oid);
	}
}

void need_owners_of_rename(ddl::Recipe *recipe, const RenameStmt *rename)
{
	Oid oid = rename->relation ? RangeVarGetRelid(rename->relation, NoLock, true) : InvalidOid;
	if (!OidIsValid(oid) || !rename->relation->inh)
		return;
	bool goes_down = rename->renameType == OBJECT_COLUMN;
	if (rename->renameType == OBJECT_TABCONSTRAINT) {
		Oid constraint = get_relation_constraint_oid(oid, rename->subname, true);
		goes_down = OidIsValid(constraint) && !OidIsValid(get_constraint_index(constraint)) &&
					pg::constraint_type(constraint) == CONSTRAINT_CHECK;
	}
	if (goes_down)
		ddl::need_owners(recipe, oid);
}

} // namespace

void need_owners(ddl::Recipe *recipe, const Unit &unit)
{
	if (IsA(unit.statement, RenameStmt))
		need_owners_of_rename(recipe, castNode(RenameStmt, unit.statement));
	if (!IsA(unit.statement, AlterTableStmt))
		return;
	const auto *alter = castNode(AlterTableStmt, unit.statement);
	Oid oid = RangeVarGetRelid(alter->relation, NoLock, true);
	char kind = OidIsValid(oid) ? get_rel_relkind(oid) : '\0';
	if (!alter->relation->inh || (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE))
		return;
	Relation relation = table_open(oid, AccessShareLock);
	if (unit.parts == NIL)
		need_owners_of_command(recipe, unit, relation, true);
	ListCell *cell;
	foreach (cell, unit.parts)
		need_owners_of_command(recipe, *static_cast<const Unit *>(lfirst(cell)), relation, false);
	table_close(relation, NoLock);
}

} // namespace safe_migrate::operations::apply
