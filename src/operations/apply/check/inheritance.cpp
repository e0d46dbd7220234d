// See check.hpp.  Tables that are children or partitions of others, as CreateInheritance()
// and what recurses look at them.
#include "operations/apply/check/check.hpp"

#include "operations/ddl/sql.hpp"
#include "operations/ddl/target.hpp"
#include "operations/partition/steps.hpp"
#include "pg/compat_alter.hpp"
#include "statement/constraint_rows.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "commands/trigger.h"
#include "nodes/parsenodes.h"
#include "parser/parse_type.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
}

namespace safe_migrate::operations::apply {

namespace {

bool is_partitioned(Relation relation)
{
	return relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE;
}

bool has_children(Oid relation) { return find_inheritance_children(relation, NoLock) != NIL; }

} // namespace

// As MergeAttributesIntoExisting() compares them.
void check_columns_of_child(Relation child, Relation parent)
{
	TupleDesc wanted = RelationGetDescr(parent);
	for (int i = 0; i < wanted->natts; i++) {
		const FormData_pg_attribute *column = TupleDescAttr(wanted, i);
		const char *name = NameStr(column->attname);
		if (column->attisdropped)
			continue;
		AttrNumber number = get_attnum(RelationGetRelid(child), name);
		if (number <= 0)
			ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
							errmsg("child table is missing column \"%s\"", name)));
		const FormData_pg_attribute *own = TupleDescAttr(RelationGetDescr(child), number - 1);
		if (own->atttypid != column->atttypid || own->atttypmod != column->atttypmod)
			ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
							errmsg("child table \"%s\" has different type for column \"%s\"",
								   RelationGetRelationName(child), name)));
		if (own->attcollation != column->attcollation)
			ereport(ERROR, (errcode(ERRCODE_COLLATION_MISMATCH),
							errmsg("child table \"%s\" has different collation for column \"%s\"",
								   RelationGetRelationName(child), name)));
		if (column->attnotnull && !own->attnotnull)
			refuse(ERRCODE_DATATYPE_MISMATCH, pg::nullable_child_message, name,
				   RelationGetRelationName(child));
	}
}

// As MergeConstraintsIntoExisting(), of CHECK constraints.
void check_constraints_of_child(Relation child, Relation parent)
{
	const TupleConstr *wanted = RelationGetDescr(parent)->constr;
	for (int i = 0; wanted && i < wanted->num_check; i++) {
		const char *name = wanted->check[i].ccname;
		if (wanted->check[i].ccnoinherit)
			continue;
		Oid own = get_relation_constraint_oid(RelationGetRelid(child), name, true);
		if (!OidIsValid(own))
			refuse(ERRCODE_DATATYPE_MISMATCH, "child table is missing constraint \"%s\"", name);
		Oid oid = get_relation_constraint_oid(RelationGetRelid(parent), name, false);
		if (wanted->check[i].ccvalid &&
			strcmp(ddl::constraint_text(own), ddl::constraint_text(oid)) != 0)
			ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
							errmsg("child table \"%s\" has different definition for check "
								   "constraint \"%s\"",
								   RelationGetRelationName(child), name)));
	}
}

namespace {

// As ATPrepAddInherit() and ATExecAddInherit().
void check_may_inherit(Relation child, Relation parent)
{
	if (OidIsValid(child->rd_rel->reloftype))
		refuse(ERRCODE_WRONG_OBJECT_TYPE, "cannot change inheritance of typed table");
	if (child->rd_rel->relispartition)
		refuse(ERRCODE_WRONG_OBJECT_TYPE, "cannot change inheritance of a partition");
	if (is_partitioned(child))
		refuse(ERRCODE_WRONG_OBJECT_TYPE, "cannot change inheritance of partitioned table");
	char kind = parent->rd_rel->relkind;
	if (kind == RELKIND_VIEW || kind == RELKIND_MATVIEW || kind == RELKIND_SEQUENCE)
		refuse(ERRCODE_WRONG_OBJECT_TYPE, "ALTER action %s cannot be performed on relation \"%s\"",
			   "INHERIT", RelationGetRelationName(parent));
	if (is_partitioned(parent))
		refuse(ERRCODE_WRONG_OBJECT_TYPE, "cannot inherit from partitioned table \"%s\"",
			   RelationGetRelationName(parent));
	if (parent->rd_rel->relispartition)
		refuse(ERRCODE_WRONG_OBJECT_TYPE, "cannot inherit from a partition");
}

void check_inheritance(Relation child, const AlterTableCmd *command)
{
	auto *name = castNode(RangeVar, command->def);
	Relation parent = table_openrv(name, AccessShareLock);
	bool is_child = false;
	ListCell *cell;
	foreach (cell, find_inheritance_children(RelationGetRelid(parent), NoLock))
		is_child = is_child || lfirst_oid(cell) == RelationGetRelid(child);
	if (command->subtype == AT_AddInherit) {
		check_may_inherit(child, parent);
		if (list_member_oid(find_all_inheritors(RelationGetRelid(child), NoLock, nullptr),
							RelationGetRelid(parent)))
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_TABLE), errmsg("circular inheritance not allowed"),
					 errdetail("\"%s\" is already a child of \"%s\".", name->relname,
							   RelationGetRelationName(child))));
		if (is_child)
			ereport(ERROR, (errcode(ERRCODE_DUPLICATE_TABLE),
							errmsg("relation \"%s\" would be inherited from more than once",
								   RelationGetRelationName(parent))));
		if (const char *trigger = FindTriggerIncompatibleWithInheritance(child->trigdesc))
			refuse(ERRCODE_FEATURE_NOT_SUPPORTED,
				   "trigger \"%s\" prevents table \"%s\" from becoming an inheritance child",
				   trigger, RelationGetRelationName(child));
		check_columns_of_child(child, parent);
		check_constraints_of_child(child, parent);
	} else if (child->rd_rel->relispartition)
		refuse(ERRCODE_WRONG_OBJECT_TYPE, "cannot change inheritance of a partition");
	else if (!is_child)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("relation \"%s\" is not a parent of relation \"%s\"",
							   RelationGetRelationName(parent), RelationGetRelationName(child))));
	table_close(parent, NoLock);
}

// ---------------------------------------------------------------- ONLY, and what is inherited

bool is_inherited_check(const Constraint *constraint)
{
	return constraint->contype == CONSTR_CHECK && !constraint->is_no_inherit;
}

bool is_not_null(Oid relation, const char *column)
{
	HeapTuple tuple = SearchSysCacheAttName(relation, column);
	bool not_null = HeapTupleIsValid(tuple) &&
					reinterpret_cast<Form_pg_attribute>(GETSTRUCT(tuple))->attnotnull;
	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return not_null;
}

bool has_inherited_check(Oid relation, const char *name)
{
	const statement::ConstraintRow *row = statement::find_constraint(relation, name);
	return row && row->type == CONSTRAINT_CHECK && !row->no_inherit;
}

void check_only(Relation relation, const AlterTableCmd *command)
{
	if (command->subtype == AT_AddColumn && !command->missing_ok)
		refuse(ERRCODE_INVALID_TABLE_DEFINITION, "column must be added to child tables too");
	if (command->subtype == AT_AddConstraint &&
		is_inherited_check(castNode(Constraint, command->def)))
		refuse(ERRCODE_INVALID_TABLE_DEFINITION, "constraint must be added to child tables too");
	if (command->subtype == AT_SetNotNull && is_partitioned(relation) &&
		!is_not_null(RelationGetRelid(relation), command->name))
		refuse(ERRCODE_INVALID_TABLE_DEFINITION, "constraint must be added to child tables too");
	if (command->subtype == AT_DropConstraint && is_partitioned(relation) &&
		!pg::only_keeps_constraints_below &&
		has_inherited_check(RelationGetRelid(relation), command->name))
		refuse(ERRCODE_INVALID_TABLE_DEFINITION,
			   "cannot remove constraint from only the partitioned table when partitions exist");
	if (command->subtype == AT_DropColumn && is_partitioned(relation) && !command->missing_ok)
		refuse(ERRCODE_INVALID_TABLE_DEFINITION,
			   "cannot drop column from only the partitioned table when partitions exist");
	if (command->subtype == AT_DropNotNull && is_partitioned(relation) &&
		!pg::only_keeps_constraints_below && is_not_null(RelationGetRelid(relation), command->name))
		refuse(ERRCODE_INVALID_TABLE_DEFINITION,
			   "cannot remove constraint from only the partitioned table when partitions exist");
}

// As ATExecAddColumn() merges it with what children have of that name.
void check_column_in_children(Relation relation, const ColumnDef *definition)
{
	Oid type;
	int32 typmod;
	if (!OidIsValid(LookupTypeNameOid(nullptr, definition->typeName, true))) // serial
		return;
	typenameTypeIdAndMod(nullptr, definition->typeName, &type, &typmod);
	ListCell *cell;
	foreach (cell, find_all_inheritors(RelationGetRelid(relation), NoLock, nullptr)) {
		HeapTuple tuple = SearchSysCacheAttName(lfirst_oid(cell), definition->colname);
		if (!HeapTupleIsValid(tuple))
			continue;
		auto form = reinterpret_cast<Form_pg_attribute>(GETSTRUCT(tuple));
		bool is_another = form->atttypid != type || form->atttypmod != typmod;
		ReleaseSysCache(tuple);
		if (is_another && lfirst_oid(cell) != RelationGetRelid(relation))
			refuse(ERRCODE_DATATYPE_MISMATCH,
				   "child table \"%s\" has different type for column \"%s\"",
				   get_rel_name(lfirst_oid(cell)), definition->colname);
	}
}

// As DefineIndex(): of one that is not made ONLY it is told with the rest of it.
void check_key_of_partitions(Relation relation, const List *columns)
{
	PartitionKey key = RelationGetPartitionKey(relation);
	for (int i = 0; i < key->partnatts; i++) {
		const char *wanted = key->partattrs[i] > 0
								 ? get_attname(RelationGetRelid(relation), key->partattrs[i], false)
								 : nullptr;
		bool has = wanted == nullptr; // an expression
		ListCell *cell;
		foreach (cell, columns)
			has = has || strcmp(strVal(lfirst(cell)), wanted) == 0;
		if (!has)
			refuse(ERRCODE_FEATURE_NOT_SUPPORTED,
				   "unique constraint on partitioned table must include all partitioning columns");
	}
}

// As ATAddForeignKeyConstraint(), AddRelationNewConstraints() and transformTableConstraint().
void check_constraint_of_partitions(Relation relation, const Constraint *constraint, bool is_only)
{
	const char *name = RelationGetRelationName(relation);
	if (constraint->contype == CONSTR_FOREIGN && is_only)
		refuse(ERRCODE_WRONG_OBJECT_TYPE,
			   "cannot use ONLY for foreign key on partitioned table \"%s\" referencing relation "
			   "\"%s\"",
			   name, constraint->pktable->relname);
	if (constraint->contype == CONSTR_FOREIGN && constraint->skip_validation &&
		!pg::partitioned_keys_can_be_not_valid)
		refuse(ERRCODE_WRONG_OBJECT_TYPE,
			   "cannot add NOT VALID foreign key on partitioned table \"%s\" referencing relation "
			   "\"%s\"",
			   name, constraint->pktable->relname);
	if (constraint->contype == CONSTR_CHECK && constraint->is_no_inherit)
		refuse(ERRCODE_INVALID_TABLE_DEFINITION,
			   "cannot add NO INHERIT constraint to partitioned table \"%s\"", name);
	bool is_key = constraint->contype == CONSTR_UNIQUE || constraint->contype == CONSTR_PRIMARY;
	if (is_key && is_only && !constraint->indexname)
		check_key_of_partitions(relation, constraint->keys);
	if (constraint->contype == CONSTR_EXCLUSION && !pg::partitioned_has_exclusion)
		refuse(ERRCODE_FEATURE_NOT_SUPPORTED,
			   "exclusion constraints are not supported on partitioned tables");
}

} // namespace

void check_tree_command(const Unit &unit, Relation relation, const AlterTableCmd *command)
{
	Oid oid = RelationGetRelid(relation);
	bool is_only = !castNode(AlterTableStmt, unit.statement)->relation->inh;
	if (is_partitioned(relation) && command->subtype == AT_AddConstraint)
		check_constraint_of_partitions(relation, castNode(Constraint, command->def), is_only);
	if (is_only && has_children(oid))
		check_only(relation, command);
	switch (command->subtype) {
		case AT_AddInherit:
		case AT_DropInherit:
			return check_inheritance(relation, command);
		case AT_AttachPartition:
			return check_attach(relation, castNode(PartitionCmd, command->def), unit.sql);
		case AT_DetachPartition:
			return partition::check_partition(
				relation,
				RangeVarGetRelid(castNode(PartitionCmd, command->def)->name, NoLock, false));
		case AT_AddColumn:
			if (relation->rd_rel->relispartition)
				refuse(ERRCODE_WRONG_OBJECT_TYPE, "cannot add column to a partition");
			if (!is_only)
				check_column_in_children(relation, castNode(ColumnDef, command->def));
			return;
		case AT_DropColumn:
			if (inherited_count(oid, command->name) > 0)
				refuse(ERRCODE_INVALID_TABLE_DEFINITION, "cannot drop inherited column \"%s\"",
					   command->name);
			return;
		default:
			return;
	}
}

} // namespace safe_migrate::operations::apply
