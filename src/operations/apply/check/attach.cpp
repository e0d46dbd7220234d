// See check.hpp.  ATTACH and DETACH PARTITION, as ATExecAttachPartition() looks at both tables.
#include "operations/apply/check/check.hpp"

#include "operations/constraint/add.hpp"
#include "operations/ddl/target.hpp"
#include "operations/partition/steps.hpp"
#include "pg/compat_alter.hpp"
#include "statement/index_match.hpp"

extern "C" {
#include "access/genam.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "commands/trigger.h"
#include "nodes/parsenodes.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
}

namespace safe_migrate::operations::apply {

namespace {

void check_columns_of_partition(Relation child, Relation parent)
{
	TupleDesc own = RelationGetDescr(child);
	for (int i = 0; i < own->natts; i++) {
		const FormData_pg_attribute *column = TupleDescAttr(own, i);
		if (!column->attisdropped &&
			get_attnum(RelationGetRelid(parent), NameStr(column->attname)) == InvalidAttrNumber)
			ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
							errmsg("table \"%s\" contains column \"%s\" not found in parent \"%s\"",
								   RelationGetRelationName(child), NameStr(column->attname),
								   RelationGetRelationName(parent)),
							errdetail("The new partition may contain only the columns present in "
									  "parent.")));
	}
}

// As AttachPartitionEnsureIndexes(): the parent's key would be a second one.
void check_primary_key_of_partition(Relation child, Relation parent)
{
	(void)RelationGetIndexList(parent); // sets rd_pkindex
	if (!OidIsValid(parent->rd_pkindex))
		return;
	Relation index = index_open(parent->rd_pkindex, AccessShareLock);
	statement::IndexShape shape = statement::shape_of_index(parent, index);
	if (!statement::has_matching_index(RelationGetRelid(child), shape, true))
		constraint::refuse_second_primary_key(child);
	index_close(index, NoLock);
}

void check_missing_columns(Relation child, Relation parent)
{
	TupleDesc wanted = RelationGetDescr(parent);
	for (int i = 0; i < wanted->natts; i++) {
		const FormData_pg_attribute *column = TupleDescAttr(wanted, i);
		if (!column->attisdropped &&
			get_attnum(RelationGetRelid(child), NameStr(column->attname)) <= 0)
			refuse(ERRCODE_DATATYPE_MISMATCH, "child table is missing column \"%s\"",
				   NameStr(column->attname));
	}
}

} // namespace

void check_attach(Relation parent, const PartitionCmd *command, const char *sql)
{
	Oid oid = RangeVarGetRelid(command->name, NoLock, false);
	if (get_rel_relkind(oid) == RELKIND_FOREIGN_TABLE)
		return;
	Relation child = ddl::open_owned_table(oid);
	partition::check_new_child(parent, child);
	if (OidIsValid(child->rd_rel->reloftype))
		refuse(ERRCODE_WRONG_OBJECT_TYPE, "cannot attach a typed table as partition");
	if (has_superclass(oid))
		refuse(ERRCODE_WRONG_OBJECT_TYPE, "cannot attach inheritance child as partition");
	if (child->rd_rel->relkind != RELKIND_PARTITIONED_TABLE &&
		find_inheritance_children(oid, NoLock) != NIL)
		refuse(ERRCODE_WRONG_OBJECT_TYPE, "cannot attach inheritance parent as partition");
	check_columns_of_partition(child, parent);
	partition::check_bound(parent, RelationGetRelationName(child), command->bound, sql);
	if (const char *trigger = FindTriggerIncompatibleWithInheritance(child->trigdesc))
		refuse(ERRCODE_FEATURE_NOT_SUPPORTED,
			   "trigger \"%s\" prevents table \"%s\" from becoming a partition", trigger,
			   RelationGetRelationName(child));
	check_columns_of_child(child, parent);
	check_constraints_of_child(child, parent);
	check_primary_key_of_partition(child, parent);
	table_close(child, NoLock);
}

void check_attached(const AlterTableStmt *alter)
{
	const auto *command = linitial_node(AlterTableCmd, alter->cmds);
	bool attaches = command->subtype == AT_AttachPartition;
	bool detaches = command->subtype == AT_DetachPartition;
	Oid parent =
		attaches || detaches ? RangeVarGetRelid(alter->relation, NoLock, true) : InvalidOid;
	if (OidIsValid(parent) && get_rel_relkind(parent) == RELKIND_RELATION)
		refuse(pg::not_partitioned, pg::not_partitioned_message, get_rel_name(parent),
			   attaches ? "ATTACH PARTITION" : "DETACH PARTITION");
	if (!attaches || alter->objtype != OBJECT_TABLE)
		return;
	Oid child = RangeVarGetRelid(castNode(PartitionCmd, command->def)->name, NoLock, true);
	if (!OidIsValid(child) || !OidIsValid(parent) ||
		get_rel_relkind(parent) != RELKIND_PARTITIONED_TABLE)
		return;
	char kind = get_rel_relkind(child);
	if (kind == RELKIND_VIEW || kind == RELKIND_MATVIEW || kind == RELKIND_SEQUENCE)
		refuse(ERRCODE_WRONG_OBJECT_TYPE, "ALTER action %s cannot be performed on relation \"%s\"",
			   "ATTACH PARTITION", get_rel_name(child));
	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
		return;
	Relation whole = table_open(parent, AccessShareLock);
	Relation part = table_open(child, AccessShareLock);
	if (!part->rd_rel->relispartition && OidIsValid(part->rd_rel->reloftype))
		refuse(ERRCODE_WRONG_OBJECT_TYPE, "cannot attach a typed table as partition");
	if (!part->rd_rel->relispartition) {
		check_columns_of_partition(part, whole);
		check_missing_columns(part, whole);
	}
	table_close(part, AccessShareLock);
	table_close(whole, AccessShareLock);
}

} // namespace safe_migrate::operations::apply
