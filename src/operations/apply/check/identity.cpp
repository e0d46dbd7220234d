// See check.hpp.  ALTER COLUMN … ADD GENERATED AS IDENTITY, SET GENERATED, DROP IDENTITY:
// ATExecAddIdentity() and its kin.
#include "operations/apply/check/check.hpp"

#include "pg/compat_alter.hpp"

extern "C" {
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "utils/rel.h"
}

namespace safe_migrate::operations::apply {

namespace {

using Attribute = const FormData_pg_attribute;

struct Wording {
	AlterTableType type;
	const char *of_partition;
	const char *of_parent_only;
};

constexpr Wording wordings[] = {
	{AT_AddIdentity, "cannot add identity to a column of a partition",
	 "cannot add identity to a column of only the partitioned table"},
	{AT_SetIdentity, "cannot change identity column of a partition",
	 "cannot change identity column of only the partitioned table"},
	{AT_DropIdentity, "cannot drop identity from a column of a partition",
	 "cannot drop identity from a column of only the partitioned table"},
};

// Where partitions have the identity of their parent.
void check_place(Relation relation, AlterTableType type, bool is_only)
{
	for (const Wording &words : wordings) {
		if (words.type != type || !pg::identity_recurses)
			continue;
		if (is_only && relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
			refuse(ERRCODE_INVALID_TABLE_DEFINITION, words.of_parent_only);
		if (relation->rd_rel->relispartition)
			refuse(ERRCODE_INVALID_TABLE_DEFINITION, words.of_partition);
	}
}

void check_new_identity(Relation relation, const AlterTableCmd *command, Attribute *column)
{
	const char *table = RelationGetRelationName(relation);
	if (column->attidentity != '\0')
		refuse(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
			   "column \"%s\" of relation \"%s\" is already an identity column", command->name,
			   table);
	if (!column->attnotnull)
		refuse(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
			   "column \"%s\" of relation \"%s\" must be declared NOT NULL before identity can be "
			   "added",
			   command->name, table);
	if (column->atthasdef)
		refuse(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
			   "column \"%s\" of relation \"%s\" already has a default value", command->name,
			   table);
}

} // namespace

void check_identity_type(Oid type)
{
	if (type != INT2OID && type != INT4OID && type != INT8OID)
		refuse(ERRCODE_INVALID_PARAMETER_VALUE,
			   "identity column type must be smallint, integer, or bigint");
}

void check_identity_command(Relation relation, const AlterTableCmd *command,
							const FormData_pg_attribute *column, bool is_only)
{
	if (command->subtype == AT_AddIdentity)
		check_identity_type(column->atttypid);
	check_place(relation, command->subtype, is_only);
	if (command->subtype == AT_AddIdentity)
		check_new_identity(relation, command, column);
	else if (column->attidentity == '\0' && !command->missing_ok)
		refuse(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
			   "column \"%s\" of relation \"%s\" is not an identity column", command->name,
			   RelationGetRelationName(relation));
}

} // namespace safe_migrate::operations::apply
