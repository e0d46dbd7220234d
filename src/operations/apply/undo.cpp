// See undo.hpp.
#include "operations/apply/undo.hpp"

#include "operations/apply/check/check.hpp"
#include "operations/apply/undo_settings.hpp"
#include "operations/constraint/definition.hpp"
#include "operations/constraint/not_null.hpp"
#include "operations/constraint/undo.hpp"
#include "operations/ddl/again.hpp"
#include "operations/ddl/sql.hpp"
#include "operations/index/definition.hpp"
#include "operations/index/steps.hpp"
#include "operations/partition/steps.hpp"
#include "pg/pinned_settings.hpp"
#include "pg/transaction.hpp"

extern "C" {
#include "access/relation.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "commands/trigger.h"
#include "lib/stringinfo.h"
#include "nodes/makefuncs.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"
}

namespace safe_migrate::operations::apply {

namespace {

using ddl::identifier;
using ddl::quoted_name;

char *qualified(Oid schema, const char *name)
{
	return quote_qualified_identifier(get_namespace_name(schema), name);
}

// ---------------------------------------------------------------- what is created

// Of what is in pg_class, unless it is there.
char *drop_new_relation(const char *what, const RangeVar *name)
{
	Oid schema = RangeVarGetCreationNamespace(name);
	return OidIsValid(get_relname_relid(name->relname, schema))
			   ? nullptr
			   : psprintf("DROP %s IF EXISTS %s", what, qualified(schema, name->relname));
}

char *drop_new_type(const char *what, List *names)
{
	char *name;
	Oid schema = QualifiedNameGetCreationNamespace(names, &name);
	return psprintf("DROP %s IF EXISTS %s", what, qualified(schema, name));
}

char *drop_new_type(const RangeVar *name)
{
	return psprintf("DROP TYPE IF EXISTS %s",
					qualified(RangeVarGetCreationNamespace(name), name->relname));
}

char *drop_new_trigger(const CreateTrigStmt *create)
{
	Oid table = RangeVarGetRelid(create->relation, NoLock, false);
	return OidIsValid(get_trigger_oid(table, create->trigname, true))
			   ? nullptr // replaced
			   : psprintf("DROP TRIGGER IF EXISTS %s ON %s", identifier(create->trigname),
						  quoted_name(table));
}

char *drop_new_index(const Unit &unit)
{
	const auto *create = castNode(IndexStmt, unit.statement);
	index::Definition definition = read_index(unit);
	if (index::takes_others(definition))
		return nullptr;
	Relation relation = relation_open(definition.relation, AccessShareLock);
	const char *name = create->idxname
						   ? create->idxname
						   : index::choose_name(relation, definition.column_names, "idx", NIL);
	char *undo =
		OidIsValid(get_relname_relid(name, RelationGetNamespace(relation)))
			? nullptr
			: psprintf("DROP INDEX IF EXISTS %s", qualified(RelationGetNamespace(relation), name));
	relation_close(relation, NoLock);
	return undo;
}

// A partition leaves first, for the keys that refer to its parent.
char *drop_new_table(const CreateStmt *create)
{
	char *drop = drop_new_relation("TABLE", create->relation);
	if (!drop || !create->partbound)
		return drop;
	Oid schema = RangeVarGetCreationNamespace(create->relation);
	return psprintf(
		"ALTER TABLE %s DETACH PARTITION %s;\n%s",
		quoted_name(RangeVarGetRelid(linitial_node(RangeVar, create->inhRelations), NoLock, false)),
		qualified(schema, create->relation->relname), drop);
}

char *drop_new_table(const CreateTableAsStmt *create)
{
	return drop_new_relation(create->objtype == OBJECT_MATVIEW ? "MATERIALIZED VIEW" : "TABLE",
							 create->into->rel);
}

// ---------------------------------------------------------------- names and schemas

const char *kind_of(ObjectType type)
{
	switch (type) {
		case OBJECT_TABLE:
			return "TABLE";
		case OBJECT_INDEX:
			return "INDEX";
		case OBJECT_VIEW:
			return "VIEW";
		case OBJECT_MATVIEW:
			return "MATERIALIZED VIEW";
		case OBJECT_SEQUENCE:
			return "SEQUENCE";
		default:
			return nullptr;
	}
}

char *rename_back(const RenameStmt *rename)
{
	Oid oid = rename->relation ? RangeVarGetRelid(rename->relation, NoLock, true) : InvalidOid;
	if (!OidIsValid(oid))
		return nullptr;
	const char *now = identifier(rename->newname);
	if (rename->renameType == OBJECT_COLUMN && kind_of(rename->relationType))
		return psprintf("ALTER %s %s RENAME COLUMN %s TO %s", kind_of(rename->relationType),
						quoted_name(oid), now, identifier(rename->subname));
	if (rename->renameType == OBJECT_TABCONSTRAINT)
		return psprintf("ALTER TABLE %s RENAME CONSTRAINT %s TO %s", quoted_name(oid), now,
						identifier(rename->subname));
	if (rename->renameType == OBJECT_TRIGGER)
		return psprintf("ALTER TRIGGER %s ON %s RENAME TO %s", now, quoted_name(oid),
						identifier(rename->subname));
	const char *kind = kind_of(rename->renameType);
	return kind ? psprintf("ALTER %s %s RENAME TO %s", kind,
						   qualified(get_rel_namespace(oid), rename->newname),
						   identifier(get_rel_name(oid)))
				: nullptr;
}

char *move_back(const AlterObjectSchemaStmt *alter)
{
	Oid oid = alter->relation ? RangeVarGetRelid(alter->relation, NoLock, true) : InvalidOid;
	const char *kind = kind_of(alter->objectType);
	return OidIsValid(oid) && kind
			   ? psprintf("ALTER %s %s SET SCHEMA %s", kind,
						  quote_qualified_identifier(alter->newschema, get_rel_name(oid)),
						  identifier(get_namespace_name(get_rel_namespace(oid))))
			   : nullptr;
}

// ---------------------------------------------------------------- ALTER TABLE

// The column's own default as it is now.
char *default_back(Relation relation, const char *column)
{
	AttrNumber number = get_attnum(RelationGetRelid(relation), column);
	if (number <= 0)
		return nullptr;
	const FormData_pg_attribute *attribute = TupleDescAttr(RelationGetDescr(relation), number - 1);
	if (attribute->attgenerated != '\0' || attribute->attidentity != '\0' ||
		find_inheritance_children(RelationGetRelid(relation), NoLock) != NIL)
		return nullptr;
	if (!attribute->atthasdef)
		return psprintf("ALTER COLUMN %s DROP DEFAULT", identifier(column));
	pg::PinnedSettings pinned = {};
	pinned.enter();
	char *text = deparse_expression(build_column_default(relation, number), NIL, false, false);
	pinned.leave();
	return psprintf("ALTER COLUMN %s SET DEFAULT %s", identifier(column), text);
}

char *switch_back(Relation relation, const char *trigger)
{
	const TriggerDesc *triggers = relation->trigdesc;
	for (int i = 0; triggers && i < triggers->numtriggers; i++) {
		if (strcmp(triggers->triggers[i].tgname, trigger) != 0)
			continue;
		const char *state = nullptr;
		switch (triggers->triggers[i].tgenabled) {
			case TRIGGER_DISABLED:
				state = "DISABLE";
				break;
			case TRIGGER_FIRES_ALWAYS:
				state = "ENABLE ALWAYS";
				break;
			case TRIGGER_FIRES_ON_REPLICA:
				state = "ENABLE REPLICA";
				break;
			default:
				state = "ENABLE";
		}
		return psprintf("%s TRIGGER %s", state, identifier(trigger));
	}
	return nullptr;
}

char *drop_new_column(Relation relation, const ColumnDef *column)
{
	return get_attnum(RelationGetRelid(relation), column->colname) == InvalidAttrNumber
			   ? psprintf("DROP COLUMN IF EXISTS %s", identifier(column->colname))
			   : nullptr;
}

// None where it takes over what was there: an index, keys of children.
char *drop_new_key(Relation relation, const Unit &unit, const Constraint *parsed)
{
	const char *added = text_after_add(unit);
	if (!added || parsed->indexname ||
		find_inheritance_children(RelationGetRelid(relation), NoLock) != NIL)
		return nullptr;
	const char *name = parsed->conname;
	if (!name && pg::try_undone([&] { name = constraint::read_definition(relation, added).name; }))
		return nullptr; // it needs what an earlier sub-command makes
	StringInfoData undo;
	initStringInfo(&undo);
	appendStringInfo(&undo, "DROP CONSTRAINT IF EXISTS %s", identifier(name));
	ListCell *cell;
	foreach (cell, parsed->contype == CONSTR_PRIMARY ? parsed->keys : NIL) {
		AttrNumber number = get_attnum(RelationGetRelid(relation), strVal(lfirst(cell)));
		if (number > 0 && !TupleDescAttr(RelationGetDescr(relation), number - 1)->attnotnull)
			appendStringInfo(&undo, ", ALTER COLUMN %s DROP NOT NULL",
							 identifier(strVal(lfirst(cell))));
	}
	return undo.data;
}

// Whole statements, of sub-commands whose undo is not one on the same table.
char *undo_of_constraint(const Unit &unit, Relation relation, const Constraint *parsed)
{
	const char *added = text_after_add(unit);
	if (!added || !is_known(parsed) || parsed->contype == CONSTR_EXCLUSION)
		return nullptr;
	char *undo = nullptr;
	if (pg::try_undone([&] {
			undo = constraint::undo_of_new(relation, constraint::read_definition(relation, added));
		}))
		return nullptr; // it needs what an earlier sub-command makes
	return undo;
}

// Not of one that has nothing to prepare: indexes and keys that it makes would stay.
char *detach_again(Relation parent, const RangeVar *name)
{
	Relation child = table_open(RangeVarGetRelid(name, NoLock, false), AccessShareLock);
	ddl::Recipe missing = {};
	ErrorData *error =
		pg::try_undone([&] { partition::add_preparation_steps(&missing, parent, child); });
	char *undo = error || missing.steps != NIL ? nullptr
											   : psprintf("ALTER TABLE %s DETACH PARTITION %s",
														  quoted_name(RelationGetRelid(parent)),
														  quoted_name(RelationGetRelid(child)));
	table_close(child, NoLock);
	return undo;
}

char *add_dropped(Relation relation, const AlterTableCmd *command)
{
	Oid constraint = get_relation_constraint_oid(RelationGetRelid(relation), command->name, true);
	return OidIsValid(constraint) && command->behavior == DROP_RESTRICT
			   ? ddl::constraint_again(constraint)
			   : nullptr;
}

char *set_not_null_back(Relation relation, const char *column)
{
	AttrNumber number = get_attnum(RelationGetRelid(relation), column);
	return number > 0 && !constraint::is_not_null(relation, number)
			   ? constraint::undo_of_not_null(RelationGetRelid(relation), column)
			   : nullptr;
}

bool has_own_undo(const AlterTableCmd *command)
{
	switch (command->subtype) {
		case AT_AddConstraint:
			return castNode(Constraint, command->def)->contype != CONSTR_PRIMARY &&
				   castNode(Constraint, command->def)->contype != CONSTR_UNIQUE;
		case AT_DropConstraint:
		case AT_SetNotNull:
		case AT_AttachPartition:
		case AT_DetachPartition:
			return true;
		default:
			return false;
	}
}

char *own_undo(const Unit &unit, Relation relation, const AlterTableCmd *command)
{
	Oid oid = RelationGetRelid(relation);
	switch (command->subtype) {
		case AT_AddConstraint:
			return undo_of_constraint(unit, relation, castNode(Constraint, command->def));
		case AT_DropConstraint:
			return add_dropped(relation, command);
		case AT_SetNotNull:
			return set_not_null_back(relation, command->name);
		case AT_AttachPartition:
			return detach_again(relation, castNode(PartitionCmd, command->def)->name);
		default:
			return partition::attach_again(
				oid, RangeVarGetRelid(castNode(PartitionCmd, command->def)->name, NoLock, false));
	}
}

char *undo_of_command(const Unit &unit, Relation relation, const AlterTableCmd *command)
{
	switch (command->subtype) {
		case AT_AddColumn:
			return drop_new_column(relation, castNode(ColumnDef, command->def));
		case AT_AddConstraint:
			return drop_new_key(relation, unit, castNode(Constraint, command->def));
		case AT_ColumnDefault:
			return default_back(relation, command->name);
		case AT_ChangeOwner:
			return psprintf("OWNER TO %s",
							identifier(GetUserNameFromId(relation->rd_rel->relowner, false)));
		case AT_EnableTrig:
		case AT_EnableAlwaysTrig:
		case AT_EnableReplicaTrig:
		case AT_DisableTrig:
			return switch_back(relation, command->name);
		default:
			return setting_back(relation, command);
	}
}

// The last part's first; none where one of them has none, or can't be told before the others are
// done.
char *undo_of_parts(const List *parts)
{
	char *all = nullptr;
	ListCell *cell;
	foreach (cell, parts) {
		char *undo = nullptr;
		ErrorData *error =
			pg::try_undone([&] { undo = undo_of(*static_cast<const Unit *>(lfirst(cell))); });
		if (error || !undo)
			return nullptr;
		all = all ? psprintf("%s;\n%s", undo, all) : undo;
	}
	return all;
}

char *undo_of_alter_table(const Unit &unit)
{
	const auto *alter = castNode(AlterTableStmt, unit.statement);
	Oid oid = alter->objtype == OBJECT_TABLE ? RangeVarGetRelid(alter->relation, NoLock, true)
											 : InvalidOid;
	if (!OidIsValid(oid))
		return nullptr;
	if (unit.parts != NIL)
		return undo_of_parts(unit.parts);
	const auto *command = linitial_node(AlterTableCmd, alter->cmds);
	bool whole = has_own_undo(command);
	Relation relation = relation_open(oid, AccessShareLock);
	char *undo =
		whole ? own_undo(unit, relation, command) : undo_of_command(unit, relation, command);
	relation_close(relation, NoLock);
	if (whole)
		return undo;
	return undo ? psprintf("ALTER TABLE %s%s %s", alter->relation->inh ? "" : "ONLY ",
						   quoted_name(oid), undo)
				: nullptr;
}

} // namespace

char *undo_of(const Unit &unit)
{
	Node *statement = unit.statement;
	switch (nodeTag(statement)) {
		case T_CreateStmt:
			return drop_new_table(castNode(CreateStmt, statement));
		case T_CreateTableAsStmt:
			return drop_new_table(castNode(CreateTableAsStmt, statement));
		case T_ViewStmt:
			return drop_new_relation("VIEW", castNode(ViewStmt, statement)->view);
		case T_CreateSeqStmt:
			return drop_new_relation("SEQUENCE", castNode(CreateSeqStmt, statement)->sequence);
		case T_CreateEnumStmt:
			return drop_new_type("TYPE", castNode(CreateEnumStmt, statement)->typeName);
		case T_CreateRangeStmt:
			return drop_new_type("TYPE", castNode(CreateRangeStmt, statement)->typeName);
		case T_CreateDomainStmt:
			return drop_new_type("DOMAIN", castNode(CreateDomainStmt, statement)->domainname);
		case T_CompositeTypeStmt:
			return drop_new_type(castNode(CompositeTypeStmt, statement)->typevar);
		case T_CreateTrigStmt:
			return drop_new_trigger(castNode(CreateTrigStmt, statement));
		case T_CreatePolicyStmt: {
			const auto *create = castNode(CreatePolicyStmt, statement);
			return psprintf("DROP POLICY IF EXISTS %s ON %s", identifier(create->policy_name),
							quoted_name(RangeVarGetRelid(create->table, NoLock, false)));
		}
		case T_IndexStmt:
			return drop_new_index(unit);
		case T_RenameStmt:
			return rename_back(castNode(RenameStmt, statement));
		case T_AlterObjectSchemaStmt:
			return move_back(castNode(AlterObjectSchemaStmt, statement));
		case T_AlterTableStmt:
			return undo_of_alter_table(unit);
		case T_CommentStmt:
			return comment_back(castNode(CommentStmt, statement));
		default:
			return nullptr;
	}
}

char *undo_of_text(const char *sql)
{
	char *undo = nullptr;
	ErrorData *error = pg::try_undone(
		[&] { undo = undo_of(*static_cast<const Unit *>(linitial(read_script(sql)))); });
	if (error && (error->sqlerrcode == ERRCODE_QUERY_CANCELED ||
				  error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ||
				  error->sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED))
		ReThrowError(error);
	return error ? nullptr : undo; // an error is the statement's to say
}

} // namespace safe_migrate::operations::apply
