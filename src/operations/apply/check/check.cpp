// See check.hpp.
#include "operations/apply/check/check.hpp"

#include "operations/column/steps.hpp"
#include "operations/constraint/add.hpp"
#include "operations/ddl/parse_analysis.hpp"
#include "operations/ddl/target.hpp"
#include "operations/index/steps.hpp"
#include "operations/partition/steps.hpp"
#include "pg/compat_analysis.hpp"
#include "pg/transaction.hpp"

extern "C" {
#include "access/relation.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
}

namespace safe_migrate::operations::apply {

index::Definition read_index(const Unit &unit)
{
	auto *statement = castNode(IndexStmt, unit.statement);
	Oid oid = RangeVarGetRelid(statement->relation, NoLock, false);
	char kind = get_rel_relkind(oid);
	if (kind == RELKIND_VIEW || kind == RELKIND_SEQUENCE || kind == RELKIND_FOREIGN_TABLE)
		refuse(ERRCODE_WRONG_OBJECT_TYPE, "cannot create index on relation \"%s\"",
			   get_rel_name(oid));
	Relation relation = ddl::open_owned_indexable(oid);
	index::Definition definition = index::make_definition(relation, statement, unit.sql);
	relation_close(relation, NoLock);
	return definition;
}

bool is_known(const Constraint *constraint)
{
	return !pg::has_period(constraint) && !pg::is_without_overlaps(constraint);
}

namespace {

void check_alter_table(const Unit &unit, Relation relation, const AlterTableCmd *command)
{
	const char *added = text_after_add(unit);
	// ONLY: what partitions say against a key does not count
	if (command->subtype == AT_AddConstraint && added &&
		castNode(AlterTableStmt, unit.statement)->relation->inh &&
		is_known(castNode(Constraint, command->def)))
		constraint::check_definition(relation, constraint::read_definition(relation, added));
	if (command->subtype == AT_AddColumn && !command->missing_ok)
		check_new_column(unit, relation, command);
	check_column_command(unit, relation, command);
	check_table_command(relation, command);
	check_tree_command(unit, relation, command);
}

} // namespace

void check_as_it_stands(const Unit &unit)
{
	if (IsA(unit.statement, IndexStmt))
		(void)index::is_to_be_made(read_index(unit));
	if (IsA(unit.statement, CreateStmt))
		check_created_table(unit);
	if (IsA(unit.statement, RenameStmt))
		check_rename(castNode(RenameStmt, unit.statement));
	if (IsA(unit.statement, AlterObjectSchemaStmt))
		check_moved(castNode(AlterObjectSchemaStmt, unit.statement));
	check_objects(unit);
	if (!IsA(unit.statement, AlterTableStmt))
		return;
	const auto *alter = castNode(AlterTableStmt, unit.statement);
	const auto *command = linitial_node(AlterTableCmd, alter->cmds);
	if (command->subtype == AT_ChangeOwner)
		(void)get_rolespec_oid(command->newowner, false);
	Oid oid = RangeVarGetRelid(alter->relation, NoLock, alter->missing_ok);
	if (!OidIsValid(oid))
		return;
	check_relation_kind(alter->objtype, alter->relation, oid, false);
	check_kind_for(command, oid);
	char kind = get_rel_relkind(oid);
	if (kind == RELKIND_COMPOSITE_TYPE)
		check_attribute_command(oid, command);
	if (kind == RELKIND_VIEW && command->subtype == AT_ColumnDefault &&
		get_attnum(oid, command->name) == InvalidAttrNumber)
		refuse(ERRCODE_UNDEFINED_COLUMN, "column \"%s\" of relation \"%s\" does not exist",
			   command->name, get_rel_name(oid));
	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
		return;
	Relation relation = ddl::open_owned_table(oid);
	check_alter_table(unit, relation, command);
	table_close(relation, NoLock);
}

} // namespace safe_migrate::operations::apply
