// ALTER TABLE of a relation that only the script creates: whom it reaches from there.
#include "statement/overlay/answer.hpp"

#include "statement/dependents.hpp"
#include "statement/partition.hpp"

extern "C" {
#include "commands/tablecmds.h"
}

namespace safe_migrate::statement::overlay {

namespace {

void lock_parent(const Overlay *overlay, Analysis *analysis, const ScriptRelation *relation,
				 const Constraint *constraint)
{
	if (constraint->contype != CONSTR_FOREIGN)
		return;
	Named parent = resolve(overlay, constraint->pktable);
	if (parent.is_new() || !OidIsValid(parent.oid))
		return;
	add_referenced(analysis, parent.oid, Lock::share_row_exclusive);
	if (relation->filled_by != 0 && !constraint->skip_validation) // who writes to it waits
		add_dependence(overlay, analysis, parent.oid, relation->filled_by,
					   psprintf("how many rows \"%s\" has", relation->name));
}

// Keys of a new table that go, or are made anew: whoever uses their other ends waits.
void look_at_keys(const Overlay *overlay, Analysis *analysis, const ScriptRelation *relation,
				  const AlterTableCmd *command)
{
	bool retypes = command->subtype == AT_AlterColumnType;
	bool drops_column = command->subtype == AT_DropColumn;
	if (!retypes && !drops_column && command->subtype != AT_DropConstraint)
		return;
	ListCell *cell;
	foreach (cell, relation->constraints) {
		auto *key = static_cast<const ScriptConstraint *>(lfirst(cell));
		if (key->parent == nullptr || key->dropped_by != 0)
			continue;
		if (retypes || drops_column ? has_name(key->columns, command->name)
									: key->name == nullptr || strcmp(key->name, command->name) == 0)
			add_script_lock(analysis, key->parent, Lock::access_exclusive);
	}
	if (relation->referenced_by != 0 && (retypes || command->behavior == DROP_CASCADE))
		add_dependence(overlay, analysis, InvalidOid, relation->referenced_by,
					   "foreign keys that refer to it");
}

} // namespace

void answer_alter_new(const Overlay *overlay, Analysis *analysis, const AlterTableStmt *statement,
					  const ScriptRelation *relation)
{
	judge_new(overlay, analysis, relation,
			  static_cast<Lock>(AlterTableGetLockLevel(statement->cmds)));
	ListCell *cell;
	foreach (cell, statement->cmds) {
		auto *command = lfirst_node(AlterTableCmd, cell);
		look_at_keys(overlay, analysis, relation, command);
		if (command->subtype == AT_AddConstraint)
			lock_parent(overlay, analysis, relation, castNode(Constraint, command->def));
		if (command->subtype == AT_AddColumn) {
			ListCell *other;
			foreach (other, castNode(ColumnDef, command->def)->constraints)
				lock_parent(overlay, analysis, relation, lfirst_node(Constraint, other));
		}
		if (command->subtype == AT_AddInherit) {
			Named parent = resolve(overlay, castNode(RangeVar, command->def));
			if (!parent.is_new() && OidIsValid(parent.oid))
				add_lock(analysis, parent.oid, Lock::share_update_exclusive);
		}
		if (command->subtype == AT_AttachPartition) {
			// The bound and the key are the script's: what is proven, can't be told.
			Named child = resolve(overlay, castNode(PartitionCmd, command->def)->name);
			if (!child.is_new() && OidIsValid(child.oid))
				add_dependence(overlay, analysis, child.oid, relation->created_by,
							   psprintf("table \"%s\"", relation->name));
		}
	}
}

} // namespace safe_migrate::statement::overlay
