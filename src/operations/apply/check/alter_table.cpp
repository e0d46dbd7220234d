// See check.hpp.  Sub-commands of ALTER TABLE: what ATPrepCmd() and ATExecCmd() look at before they
// change anything, in their words.
#include "operations/apply/check/check.hpp"

#include "operations/ddl/target.hpp"
#include "pg/compat_alter.hpp"
#include "pg/compat_analysis.hpp"
#include "statement/constraint_rows.hpp"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/toast_compression.h"
#include "catalog/dependency.h"
#include "catalog/heap.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_publication_rel.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/tablecmds.h"
#include "commands/trigger.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_coerce.h"
#include "parser/parse_expr.h"
#include "parser/parse_node.h"
#include "parser/parse_relation.h"
#include "parser/parse_type.h"
#include "rewrite/rewriteHandler.h"
#include "rewrite/rewriteSupport.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/syscache.h"
}

namespace safe_migrate::operations::apply {

namespace {

using Attribute = const FormData_pg_attribute;

// ---------------------------------------------------------------- one column

// As ATColumnDefault() has it.
void check_default(Relation relation, const AlterTableCmd *command, Attribute *column,
				   const char *sql)
{
	const char *table = RelationGetRelationName(relation);
	if (column->attidentity != '\0')
		refuse(ERRCODE_SYNTAX_ERROR, "column \"%s\" of relation \"%s\" is an identity column",
			   command->name, table);
	if (column->attgenerated != '\0')
		refuse(ERRCODE_SYNTAX_ERROR, "column \"%s\" of relation \"%s\" is a generated column",
			   command->name, table);
	if (!command->def)
		return;
	ParseState *state = make_parsestate(nullptr);
	state->p_sourcetext = sql;
	(void)cookDefault(state, static_cast<Node *>(copyObjectImpl(command->def)), column->atttypid,
					  column->atttypmod, command->name, '\0');
}

void check_storage(Relation, const AlterTableCmd *command, Attribute *column, const char *)
{
	check_storage_mode(strVal(command->def), column->atttypid);
}

// As GetAttributeCompression().
void check_compression(Relation, const AlterTableCmd *command, Attribute *column, const char *)
{
	const char *wanted = strVal(command->def);
	if (strcmp(wanted, "default") == 0)
		return;
	if (!TypeIsToastable(column->atttypid))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("column data type %s does not support compression",
							   format_type_be(column->atttypid))));
	if (!CompressionMethodIsValid(CompressionNameToMethod(wanted)))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid compression method \"%s\"", wanted)));
}

void check_generated(Relation relation, const AlterTableCmd *command, Attribute *column,
					 const char *)
{
	if (column->attgenerated == '\0' && !command->missing_ok)
		refuse(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, pg::not_generated_message, command->name,
			   RelationGetRelationName(relation));
}

bool is_among(Relation relation, IndexAttrBitmapKind columns, Attribute *column)
{
	return bms_is_member(column->attnum - FirstLowInvalidHeapAttributeNumber,
						 RelationGetIndexAttrBitmap(relation, columns));
}

bool is_not_null_in_parent(Relation partition, const char *column)
{
	Relation parent =
		table_open(get_partition_parent(RelationGetRelid(partition), true), AccessShareLock);
	AttrNumber number = get_attnum(RelationGetRelid(parent), column);
	bool is = number > 0 && TupleDescAttr(RelationGetDescr(parent), number - 1)->attnotnull;
	table_close(parent, NoLock);
	return is;
}

// Where NOT NULL is a constraint; nullptr: the table's own, or none.
const char *inherited_not_null(Relation relation, AttrNumber column)
{
	constexpr char not_null = 'n'; // CONSTRAINT_NOTNULL
	ListCell *cell;
	foreach (cell, pg::not_null_is_a_constraint
					   ? statement::constraints_on(RelationGetRelid(relation))
					   : NIL) {
		const auto *row = static_cast<const statement::ConstraintRow *>(lfirst(cell));
		if (row->type == not_null && statement::has_key(row, column) && row->n_parents > 0)
			return row->name;
	}
	return nullptr;
}

// As ATExecDropNotNull(): who else wants it.
void check_nullable(Relation relation, const AlterTableCmd *command, Attribute *column,
					const char *)
{
	if (column->attidentity != '\0')
		ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR),
						errmsg("column \"%s\" of relation \"%s\" is an identity column",
							   command->name, RelationGetRelationName(relation))));
	if (is_among(relation, INDEX_ATTR_BITMAP_PRIMARY_KEY, column))
		ereport(ERROR, (errcode(ERRCODE_INVALID_TABLE_DEFINITION),
						errmsg("column \"%s\" is in a primary key", command->name)));
	if (is_among(relation, INDEX_ATTR_BITMAP_IDENTITY_KEY, column))
		refuse(ERRCODE_INVALID_TABLE_DEFINITION,
			   "column \"%s\" is in index used as replica identity", command->name);
	if (relation->rd_rel->relispartition && is_not_null_in_parent(relation, command->name))
		refuse(ERRCODE_INVALID_TABLE_DEFINITION, "column \"%s\" is marked NOT NULL in parent table",
			   command->name);
	if (const char *constraint = inherited_not_null(relation, column->attnum))
		refuse(ERRCODE_INVALID_TABLE_DEFINITION,
			   "cannot drop inherited constraint \"%s\" of relation \"%s\"", constraint,
			   RelationGetRelationName(relation));
}

// ---------------------------------------------------------------- names of other things

void unfit_identity(int sqlstate, const char *message, const char *index)
{
	ereport(ERROR, (errcode(sqlstate), errmsg_internal(message, index)));
}

// As ATExecReplicaIdentity().
void check_replica_identity(Relation relation, const AlterTableCmd *command)
{
	const auto *statement = castNode(ReplicaIdentityStmt, command->def);
	if (statement->identity_type != REPLICA_IDENTITY_INDEX)
		return;
	const char *name = statement->name;
	Oid oid = get_relname_relid(name, RelationGetNamespace(relation));
	if (!OidIsValid(oid))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("index \"%s\" for table \"%s\" does not exist", name,
							   RelationGetRelationName(relation))));
	Relation index = index_open(oid, AccessShareLock);
	if (index->rd_index->indrelid != RelationGetRelid(relation))
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s\" is not an index for table \"%s\"", name,
							   RelationGetRelationName(relation))));
	if (!index->rd_index->indisunique)
		unfit_identity(ERRCODE_WRONG_OBJECT_TYPE,
					   "cannot use non-unique index \"%s\" as replica identity", name);
	if (!index->rd_index->indimmediate)
		unfit_identity(ERRCODE_FEATURE_NOT_SUPPORTED,
					   "cannot use non-immediate index \"%s\" as replica identity", name);
	if (RelationGetIndexExpressions(index) != NIL)
		unfit_identity(ERRCODE_FEATURE_NOT_SUPPORTED,
					   "cannot use expression index \"%s\" as replica identity", name);
	if (RelationGetIndexPredicate(index) != NIL)
		unfit_identity(ERRCODE_FEATURE_NOT_SUPPORTED,
					   "cannot use partial index \"%s\" as replica identity", name);
	for (int key = 0; key < IndexRelationGetNumberOfKeyAttributes(index); key++) {
		Attribute *column =
			TupleDescAttr(RelationGetDescr(relation), index->rd_index->indkey.values[key] - 1);
		if (!column->attnotnull)
			ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
							errmsg("index \"%s\" cannot be used as replica identity because column "
								   "\"%s\" is nullable",
								   name, NameStr(column->attname))));
	}
	index_close(index, NoLock);
}

// As ATExecAlterConstraint(), which has no SQLSTATE for it.
void check_altered_constraint(Relation relation, const AlterTableCmd *command)
{
	const char *name = pg::altered_constraint(command);
	const statement::ConstraintRow *row =
		statement::read_constraint(ddl::find_constraint(relation, name));
	if (row && row->type != CONSTRAINT_FOREIGN && !pg::alters_other_constraints(command))
		refuse(ERRCODE_WRONG_OBJECT_TYPE,
			   "constraint \"%s\" of relation \"%s\" is not a foreign key constraint", name,
			   RelationGetRelationName(relation));
	if (row && OidIsValid(row->parent))
		ereport(ERROR, (errmsg("cannot alter constraint \"%s\" on relation \"%s\"", name,
							   RelationGetRelationName(relation))));
}

// ALTER … SET STATISTICS, SET (…): only tried as they stand.
bool may_be_system(AlterTableType type)
{
	return type == AT_SetStatistics || type == AT_SetOptions || type == AT_ResetOptions;
}

} // namespace

// As GetAttributeStorage().
void check_storage_mode(const char *mode, Oid type)
{
	bool is_plain = pg_strcasecmp(mode, "plain") == 0;
	bool is_default = pg::has_default_storage && pg_strcasecmp(mode, "default") == 0;
	if (!is_plain && !is_default && pg_strcasecmp(mode, "external") != 0 &&
		pg_strcasecmp(mode, "extended") != 0 && pg_strcasecmp(mode, "main") != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid storage type \"%s\"", mode)));
	if (!is_plain && !is_default && !TypeIsToastable(type))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("column data type %s can only have storage PLAIN", format_type_be(type))));
}

void check_column_command(const Unit &unit, Relation relation, const AlterTableCmd *command)
{
	using Check = void (*)(Relation, const AlterTableCmd *, Attribute *, const char *);
	struct Known {
		AlterTableType type;
		Check check; // nullptr: that there is such a column is all
	};
	constexpr Known known[] = {
		{AT_ColumnDefault, check_default},
		{AT_DropNotNull, check_nullable},
		{AT_SetNotNull, nullptr},
		{AT_DropExpression, check_generated},
		{AT_SetStatistics, nullptr},
		{AT_SetOptions, nullptr},
		{AT_ResetOptions, nullptr},
		{AT_SetStorage, check_storage},
		{AT_SetCompression, check_compression},
		{AT_AlterColumnType, nullptr},
		{AT_AddIdentity, nullptr},
		{AT_SetIdentity, nullptr},
		{AT_DropIdentity, nullptr},
	};
	bool is_only = !castNode(AlterTableStmt, unit.statement)->relation->inh;
	for (const Known &one : known) {
		if (one.type != command->subtype || !command->name)
			continue;
		AttrNumber number = get_attnum(RelationGetRelid(relation), command->name);
		if (number == InvalidAttrNumber && !command->missing_ok)
			ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
							errmsg("column \"%s\" of relation \"%s\" does not exist", command->name,
								   RelationGetRelationName(relation))));
		if (number < 0 && !may_be_system(one.type))
			refuse(ERRCODE_FEATURE_NOT_SUPPORTED, "cannot alter system column \"%s\"",
				   command->name);
		if (number <= 0)
			continue;
		Attribute *column = TupleDescAttr(RelationGetDescr(relation), number - 1);
		if (one.type == AT_AlterColumnType)
			check_column_type(relation, command, column, is_only, unit.sql);
		if (one.type == AT_AddIdentity || one.type == AT_SetIdentity || one.type == AT_DropIdentity)
			check_identity_command(relation, command, column, is_only);
		if (one.check)
			one.check(relation, command, column, unit.sql);
	}
}

void check_table_command(Relation relation, const AlterTableCmd *command)
{
	Oid oid = RelationGetRelid(relation);
	check_storage_command(relation, command);
	switch (command->subtype) {
		case AT_ReplicaIdentity:
			check_replica_identity(relation, command);
			break;
		case AT_EnableTrig:
		case AT_EnableAlwaysTrig:
		case AT_EnableReplicaTrig:
		case AT_DisableTrig:
			(void)get_trigger_oid(oid, command->name, false);
			break;
		case AT_EnableRule:
		case AT_EnableAlwaysRule:
		case AT_EnableReplicaRule:
		case AT_DisableRule:
			(void)get_rewrite_oid(oid, command->name, false);
			break;
		case AT_DropOf:
			if (!OidIsValid(relation->rd_rel->reloftype))
				ereport(ERROR,
						(errcode(ERRCODE_WRONG_OBJECT_TYPE),
						 errmsg("\"%s\" is not a typed table", RelationGetRelationName(relation))));
			break;
		case AT_AlterConstraint:
			check_altered_constraint(relation, command);
			break;
		case AT_AddOf:
			check_of_type(relation, command);
			break;
		default:
			break;
	}
}

} // namespace safe_migrate::operations::apply
