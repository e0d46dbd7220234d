// What ALTER TABLE and the constraints of CREATE TABLE change.  See note.hpp.
#include "statement/overlay/note.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_constraint.h"
#include "nodes/value.h"
#include "utils/lsyscache.h"
}

namespace safe_migrate::statement::overlay {

namespace {

List *copy_names(const Overlay *overlay, const List *names)
{
	MemoryContext caller = MemoryContextSwitchTo(overlay->memory);
	auto *copy = static_cast<List *>(copyObjectImpl(names));
	MemoryContextSwitchTo(caller);
	return copy;
}

ScriptConstraint *add_constraint(Overlay *overlay, ScriptRelation *relation, ConstrType type,
								 const char *name)
{
	MemoryContext caller = MemoryContextSwitchTo(overlay->memory);
	auto *added = static_cast<ScriptConstraint *>(palloc0(sizeof(ScriptConstraint)));
	added->type = type;
	added->name = name != nullptr ? pstrdup(name) : nullptr;
	relation->constraints = lappend(relation->constraints, added);
	MemoryContextSwitchTo(caller);
	return added;
}

bool has_constraint(const ColumnDef *column, ConstrType type)
{
	ListCell *cell;
	foreach (cell, column->constraints) {
		if (lfirst_node(Constraint, cell)->contype == type)
			return true;
	}
	return false;
}

// Where the name means a type of the server's, whatever domain of the script's has the name too.
bool is_built_in(const TypeName *type)
{
	Oid oid = InvalidOid;
	if (list_length(type->names) == 1)
		oid = TypenameGetTypidExtended(strVal(linitial(type->names)), false);
	else if (list_length(type->names) == 2 &&
			 strcmp(strVal(linitial(type->names)), "pg_catalog") == 0)
		return true;
	return OidIsValid(oid) && oid < FirstNormalObjectId;
}

void note_type(Overlay *overlay, const ScriptRelation *relation, const ColumnDef *definition)
{
	if ((relation->created_by == 0 || relation->partitions_by != 0) &&
		definition->typeName != nullptr && !is_built_in(definition->typeName))
		overlay->typed_by = overlay->statement_no;
}

void note_add_column(Overlay *overlay, ScriptRelation *relation, const AlterTableCmd *command)
{
	auto *definition = castNode(ColumnDef, command->def);
	const ScriptColumn *known = find_column(relation, definition->colname);
	bool there = OidIsValid(relation->oid) &&
				 get_attnum(relation->oid, definition->colname) != InvalidAttrNumber;
	if (command->missing_ok && (known != nullptr || there))
		return;
	note_type(overlay, relation, definition);
	ScriptColumn *column = column_of(overlay, relation, definition->colname);
	column->added_by = overlay->statement_no;
	column->changed_by = 0;
	column->nullable_by = 0;
	column->not_null_by = has_constraint(definition, CONSTR_NOTNULL) ||
								  has_constraint(definition, CONSTR_PRIMARY) ||
								  has_constraint(definition, CONSTR_IDENTITY)
							  ? overlay->statement_no
							  : 0;
	ListCell *cell;
	foreach (cell, definition->constraints)
		note_constraint(overlay, relation, lfirst_node(Constraint, cell), definition->colname);
}

void note_not_null(Overlay *overlay, ScriptRelation *relation, const List *columns)
{
	ListCell *cell;
	foreach (cell, columns)
		column_of(overlay, relation, strVal(lfirst(cell)))->not_null_by = overlay->statement_no;
}

void note_validated(Overlay *overlay, ScriptRelation *relation, const char *name)
{
	ScriptConstraint *constraint = find_constraint(relation, name);
	if (constraint == nullptr)
		constraint = add_constraint(overlay, relation, CONSTR_CHECK, name);
	constraint->validated_by = overlay->statement_no;
	if (constraint->type == CONSTR_NOTNULL)
		note_not_null(overlay, relation, constraint->columns);
}

void note_drop_constraint(Overlay *overlay, ScriptRelation *relation, const char *name)
{
	ScriptConstraint *constraint = find_constraint(relation, name);
	if (constraint == nullptr)
		constraint = add_constraint(overlay, relation, CONSTR_CHECK, name);
	constraint->dropped_by = overlay->statement_no;
	relation->indexes_by = overlay->statement_no; // it may have had one
}

void note_changed(Overlay *overlay, ScriptRelation *relation, const char *column)
{
	column_of(overlay, relation, column)->changed_by = overlay->statement_no;
}

// It and all above it have now rows of others under them.
void note_adoption(Overlay *overlay, ScriptRelation *parent)
{
	if (parent->partitions_by == overlay->statement_no)
		return;
	parent->partitions_by = overlay->statement_no;
	ListCell *cell;
	foreach (cell, parent->parents)
		note_adoption(overlay, static_cast<ScriptRelation *>(lfirst(cell)));
}

void put_under(Overlay *overlay, ScriptRelation *child, ScriptRelation *parent)
{
	note_parent(overlay, child, parent);
	if (child->created_by == 0 || child->partitions_by != 0)
		note_adoption(overlay, parent);
	if (child->created_by == 0)
		child->partitions_by = overlay->statement_no;
}

void note_attach(Overlay *overlay, ScriptRelation *parent, const AlterTableCmd *command)
{
	auto *partition = castNode(PartitionCmd, command->def);
	ScriptRelation *child = relation_of(overlay, partition->name);
	if (child == nullptr)
		return;
	child->of = command->subtype == AT_AttachPartition ? parent : nullptr;
	put_under(overlay, child, parent);
}

void note_inherit(Overlay *overlay, ScriptRelation *child, const AlterTableCmd *command)
{
	ScriptRelation *parent = relation_of(overlay, castNode(RangeVar, command->def));
	if (parent != nullptr)
		put_under(overlay, child, parent);
}

void note_command(Overlay *overlay, ScriptRelation *relation, const AlterTableCmd *command)
{
	switch (command->subtype) {
		case AT_AddColumn:
			return note_add_column(overlay, relation, command);
		case AT_SetNotNull:
			column_of(overlay, relation, command->name)->not_null_by = overlay->statement_no;
			return;
		case AT_DropNotNull:
			column_of(overlay, relation, command->name)->nullable_by = overlay->statement_no;
			column_of(overlay, relation, command->name)->not_null_by = 0;
			return;
		case AT_AlterColumnType:
			note_type(overlay, relation, castNode(ColumnDef, command->def));
			return note_changed(overlay, relation, command->name);
		case AT_DropColumn:
			note_changed(overlay, relation, command->name);
			relation->indexes_by = overlay->statement_no;
			column_of(overlay, relation, command->name)->added_by = 0;
			return;
		case AT_AddConstraint:
			return note_constraint(overlay, relation, castNode(Constraint, command->def), nullptr);
		case AT_ValidateConstraint:
			return note_validated(overlay, relation, command->name);
		case AT_DropConstraint:
			return note_drop_constraint(overlay, relation, command->name);
		case AT_AttachPartition:
		case AT_DetachPartition:
			return note_attach(overlay, relation, command);
		case AT_AddInherit:
		case AT_DropInherit:
			return note_inherit(overlay, relation, command);
		case AT_SetLogged:
		case AT_SetUnLogged:
		case AT_SetTableSpace:
		case AT_SetAccessMethod:
			relation->storage_by = overlay->statement_no;
			return;
		case AT_AddOf:
			if (ScriptRelation *type = type_of(overlay, castNode(TypeName, command->def)))
				put_under(overlay, relation, type);
			return;
		default:
			return; // nothing that a later statement's effects hinge on
	}
}

} // namespace

void note_parent(Overlay *overlay, ScriptRelation *child, ScriptRelation *parent)
{
	MemoryContext caller = MemoryContextSwitchTo(overlay->memory);
	child->parents = list_append_unique_ptr(child->parents, parent);
	MemoryContextSwitchTo(caller);
	note_rows_under(overlay, child);
}

ScriptRelation *type_of(Overlay *overlay, const TypeName *type)
{
	return type->names != NIL ? relation_of(overlay, range_var_of(type->names)) : nullptr;
}

void note_alter_table(Overlay *overlay, ScriptRelation *relation, const AlterTableStmt *statement)
{
	ListCell *cell;
	foreach (cell, statement->cmds)
		note_command(overlay, relation, lfirst_node(AlterTableCmd, cell));
}

void note_constraint(Overlay *overlay, ScriptRelation *relation, const Constraint *constraint,
					 const char *column)
{
	switch (constraint->contype) {
		case CONSTR_CHECK:
		case CONSTR_FOREIGN:
		case CONSTR_UNIQUE:
		case CONSTR_PRIMARY:
		case CONSTR_EXCLUSION:
			break;
		case CONSTR_NOTNULL:
			if (column != nullptr)
				return; // with the column
			break;
		default:
			return;
	}
	ScriptConstraint *added =
		add_constraint(overlay, relation, constraint->contype, constraint->conname);
	added->added_by = overlay->statement_no;
	if (!constraint->skip_validation)
		added->validated_by = overlay->statement_no;
	if (constraint->contype == CONSTR_CHECK)
		added->columns = copy_names(overlay, columns_proven_not_null(constraint->raw_expr));
	else if (constraint->contype == CONSTR_FOREIGN)
		added->columns =
			copy_names(overlay, column != nullptr ? list_make1(makeString(pstrdup(column)))
												  : constraint->fk_attrs);
	else
		added->columns = copy_names(overlay, constraint->keys);
	if (constraint->contype == CONSTR_FOREIGN) {
		added->parent = relation_of(overlay, constraint->pktable);
		relation->foreign_keys_by = overlay->statement_no;
		if (added->parent != nullptr)
			added->parent->foreign_keys_by = added->parent->referenced_by = overlay->statement_no;
	}
	if (constraint->contype == CONSTR_UNIQUE || constraint->contype == CONSTR_PRIMARY ||
		constraint->contype == CONSTR_EXCLUSION)
		relation->indexes_by = overlay->statement_no;
	if ((constraint->contype == CONSTR_PRIMARY || constraint->contype == CONSTR_NOTNULL) &&
		!constraint->skip_validation)
		note_not_null(overlay, relation, added->columns);
}

void note_column_rename(Overlay *overlay, ScriptRelation *relation, const char *from,
						const char *to)
{
	ScriptColumn *column = find_column(relation, from);
	if (column != nullptr && column->added_by != 0 && column->changed_by == 0) {
		column->name = MemoryContextStrdup(overlay->memory, to);
		return;
	}
	note_changed(overlay, relation, from);
	note_changed(overlay, relation, to);
}

void note_constraint_rename(Overlay *overlay, ScriptRelation *relation, const char *from,
							const char *to)
{
	ScriptConstraint *constraint = find_constraint(relation, from);
	if (constraint != nullptr && constraint->added_by != 0)
		constraint->name = MemoryContextStrdup(overlay->memory, to);
	else
		note_object(overlay, to);
}

void note_index_of(Overlay *overlay, Oid index)
{
	Oid table = IndexGetRelation(index, true);
	if (OidIsValid(table))
		record_of(overlay, table)->indexes_by = overlay->statement_no;
}

} // namespace safe_migrate::statement::overlay
