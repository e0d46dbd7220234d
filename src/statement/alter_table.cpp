// ALTER TABLE and its kin: target, lock, recursion; the sub-commands are handed on.
#include "statement/alter_table.hpp"

#include "pg/compat_alter.hpp"
#include "pg/oid_places.hpp"
#include "statement/constraint_rows.hpp"
#include "statement/lifetime.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "commands/tablecmds.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "utils/acl.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

namespace safe_migrate::statement {

namespace {

bool reaches_descendants(const AlterTable *alter)
{
	return alter->recurses &&
		   (alter->kind == RELKIND_RELATION || alter->kind == RELKIND_PARTITIONED_TABLE ||
			alter->kind == RELKIND_FOREIGN_TABLE || alter->kind == RELKIND_PARTITIONED_INDEX);
}

int64 plus(int64 a, int64 b) { return a < 0 || b < 0 ? -1 : a + b; }

// Of the relation alone: a partitioned table has nothing itself.
void measure(Finding *finding)
{
	finding->bytes = own_heap_bytes(finding->relation);
	if (get_rel_relkind(finding->relation) == RELKIND_PARTITIONED_TABLE)
		return;
	if (finding->effect == Effect::rewrite) {
		finding->indexes = count_own_indexes(finding->relation);
		finding->bytes = plus(finding->bytes, own_index_bytes(finding->relation));
	} else if (finding->effect == Effect::index_build) {
		finding->indexes = 1;
	}
}

Finding *add(AlterTable *alter, Cause cause, Effect effect, Oid relation, Lock lock,
			 const Part &part)
{
	Finding *finding = add_finding(alter->analysis, cause, effect, relation, lock);
	finding->is_target = relation == alter->relation;
	finding->column = part.column;
	finding->object = part.object;
	finding->definition = part.definition;
	finding->facts = part.facts;
	finding->type = part.type;
	finding->expression = part.expression;
	return finding;
}

bool is_measured(Effect effect) { return grows_with_size(effect) || effect == Effect::data_loss; }

List *constraints_of_column(Oid relation, const char *column)
{
	List *names = NIL;
	AttrNumber attnum = get_attnum(relation, column);
	ListCell *cell;
	foreach (cell, constraints_on(relation)) {
		auto *row = static_cast<const ConstraintRow *>(lfirst(cell));
		if (attnum != InvalidAttrNumber && has_key(row, attnum))
			names = lappend(names, const_cast<char *>(row->name));
	}
	return names;
}

// The constraints that go with DROP CONSTRAINT and DROP COLUMN, by name.
List *constraints_dropped(AlterTable *alter)
{
	List *names = NIL;
	ListCell *cell;
	foreach (cell, alter->commands) {
		auto *command = lfirst_node(AlterTableCmd, cell);
		if (command->subtype == AT_DropConstraint)
			names = lappend(names, command->name);
		if (command->subtype != AT_DropColumn)
			continue;
		ListCell *reached; // a child's own goes with its column
		foreach (reached, reached_by(alter))
			names = list_concat(names, constraints_of_column(lfirst_oid(reached), command->name));
	}
	return names;
}

bool is_partitioned(const AlterTable *alter) { return alter->kind == RELKIND_PARTITIONED_TABLE; }

// EnableDisableTrigger(): row triggers of a partitioned table have their clones on the partitions.
bool has_row_trigger(const AlterTable *alter, const AlterTableCmd *command)
{
	Relation rel = open_judged(alter->relation);
	if (rel == nullptr)
		return false;
	bool spares_system =
		command->subtype == AT_EnableTrigUser || command->subtype == AT_DisableTrigUser;
	bool found = false;
	for (int i = 0; rel->trigdesc != nullptr && i < rel->trigdesc->numtriggers; i++) {
		const Trigger *trigger = &rel->trigdesc->triggers[i];
		found |= TRIGGER_FOR_ROW(trigger->tgtype) && !(trigger->tgisinternal && spares_system) &&
				 (command->name == nullptr || strcmp(command->name, trigger->tgname) == 0);
	}
	close_judged(rel);
	return found;
}

bool is_not_null(const AlterTable *alter, const char *name)
{
	Column column;
	return find_column(alter->relation, name, &column) && column.is_not_null;
}

// ATExecChangeOwner() takes the table's own sequences along.
void analyse_owner(AlterTable *alter, const AlterTableCmd *command)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(alter->relation));
	if (!HeapTupleIsValid(tuple))
		return;
	Oid owner = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	if (owner == get_rolespec_oid(command->newowner, true))
		return;
	report_lock(alter, alter->relation, alter->lock, nullptr);
	ListCell *cell;
	foreach (cell, getOwnedSequences(alter->relation))
		report_lock(alter, lfirst_oid(cell), alter->lock, nullptr);
}

} // namespace

void lock_identity_sequence(AlterTable *alter, const char *column, Lock lock)
{
	AttrNumber attnum = get_attnum(alter->relation, column);
	if (attnum <= 0)
		return;
	ListCell *cell;
	foreach (cell, dependents_of(RelationRelationId, alter->relation, attnum)) {
		auto *dependent = static_cast<const DependsOn *>(lfirst(cell));
		if (dependent->class_id == RelationRelationId && dependent->type == DEPENDENCY_INTERNAL &&
			get_rel_relkind(dependent->object) == RELKIND_SEQUENCE)
			report_lock(alter, dependent->object, lock, nullptr);
	}
}

namespace {

void analyse_identity(AlterTable *alter, const AlterTableCmd *command)
{
	if (command->subtype == AT_SetIdentity)
		lock_identity_sequence(alter, command->name, Lock::share_row_exclusive);
	if (command->subtype == AT_DropIdentity) // it is dropped
		lock_identity_sequence(alter, command->name, Lock::access_exclusive);
	alter->locks_descendants |= pg::identity_recurses && is_partitioned(alter);
}

void analyse_command(AlterTable *alter, const AlterTableCmd *command)
{
	switch (command->subtype) {
		case AT_AddColumn:
		case AT_AddColumnToView:
			return analyse_add_column(alter, command);
		case AT_SetNotNull:
			return analyse_set_not_null(alter, command->name);
		case AT_AddConstraint:
			return analyse_add_constraint(alter, castNode(Constraint, command->def));
		case AT_ValidateConstraint:
			return analyse_validate_constraint(alter, command->name);
		case AT_AlterConstraint:
			return analyse_alter_constraint(alter, command);
		case AT_DropConstraint:
			return analyse_drop_constraint(alter, command);
		case AT_DropColumn:
			return analyse_drop_column(alter, command);
		case AT_SetLogged:
		case AT_SetUnLogged:
		case AT_SetAccessMethod:
		case AT_SetTableSpace:
			return analyse_storage(alter, command);
		case AT_AttachPartition:
			analyse_tie_of_table(alter, command);
			return analyse_attach_partition(alter->analysis, alter->relation, command);
		case AT_DetachPartition:
		case AT_DetachPartitionFinalize:
			return analyse_detach_partition(alter->analysis, alter->relation, command);
		case AT_DropNotNull:
			alter->locks_descendants |=
				!pg::not_null_is_a_constraint || is_not_null(alter, command->name);
			return;
		case AT_ColumnDefault:
		case AT_DropExpression:
		case AT_SetStatistics:
		case AT_SetStorage:
			alter->locks_descendants = true; // ATSimpleRecursion()
			return;
		case AT_AddIdentity:
		case AT_SetIdentity:
		case AT_DropIdentity:
			return analyse_identity(alter, command);
		case AT_EnableTrig:
		case AT_EnableAlwaysTrig:
		case AT_EnableReplicaTrig:
		case AT_EnableTrigAll:
		case AT_EnableTrigUser:
		case AT_DisableTrig:
		case AT_DisableTrigAll:
		case AT_DisableTrigUser:
			alter->locks_descendants |= is_partitioned(alter) && has_row_trigger(alter, command);
			return;
		case AT_ChangeOwner:
			return analyse_owner(alter, command);
		case AT_AddOf:
			return analyse_tie_of_table(alter, command);
		case AT_AddInherit: {
			analyse_tie_of_table(alter, command);
			Target parent = find_target(alter->analysis, castNode(RangeVar, command->def), false);
			if (OidIsValid(parent.relation))
				report_lock(alter, parent.relation, Lock::share_update_exclusive, nullptr);
			return;
		}
		default:
			if (pg::is_set_expression(command))
				analyse_set_expression(alter, command);
	}
}

// A rewrite verifies and builds all at once: what else would have been scanned or built on the same
// relation comes for nothing.
void drop_what_a_rewrite_does(Effects *effects, int first)
{
	pg::OidPlaces rewritten = {};
	for (int i = first; i < effects->n; i++) {
		const Finding &finding = effects->findings[i];
		if (finding.effect == Effect::rewrite && finding.cause != Cause::set_tablespace)
			(void)rewritten.put(finding.relation, i);
	}
	int kept = first;
	for (int i = first; i < effects->n; i++) {
		const Finding &finding = effects->findings[i];
		bool is_part = finding.effect == Effect::scan || finding.effect == Effect::index_build;
		if (!is_part || rewritten.find(finding.relation) == nullptr)
			effects->findings[kept++] = finding;
	}
	if (effects->n != kept)
		findings_moved(effects);
	effects->n = kept;
}

// The target's first finding goes before those of what it refers to.
void put_target_first(const AlterTable *alter, int first)
{
	Finding *findings = alter->analysis->effects->findings;
	int target = first;
	while (target < alter->analysis->effects->n && findings[target].relation != alter->relation)
		target++;
	if (target == first || target == alter->analysis->effects->n)
		return;
	Finding finding = findings[target];
	memmove(&findings[first + 1], &findings[first], sizeof(Finding) * (target - first));
	findings[first] = finding;
	findings_moved(alter->analysis->effects);
}

void analyse_commands(AlterTable *alter)
{
	int first = alter->analysis->effects->n;
	ListCell *cell;
	foreach (cell, alter->commands) {
		alter->now = lfirst_node(AlterTableCmd, cell);
		analyse_command(alter, alter->now);
	}
	alter->now = nullptr;
	analyse_alter_type(alter);
	drop_what_a_rewrite_does(alter->analysis->effects, first);
	report_lock(alter, alter->relation, alter->lock, nullptr);
	put_target_first(alter, first);
	if (!alter->locks_descendants)
		return;
	foreach (cell, reached_by(alter))
		report_lock(alter, lfirst_oid(cell), alter->lock, nullptr);
}

} // namespace

List *reached_by(AlterTable *alter)
{
	if (alter->reached == NIL)
		alter->reached = reaches_descendants(alter) ? with_descendants(alter->relation)
													: list_make1_oid(alter->relation);
	return alter->reached;
}

void report(AlterTable *alter, Cause cause, Effect effect, List *relations, const Part &part,
			Lock lock)
{
	if (relations == NIL)
		return;
	int target = -1;
	if (alter->kind == RELKIND_PARTITIONED_TABLE || list_member_oid(relations, alter->relation)) {
		target = alter->analysis->effects->n;
		Finding *finding = add(alter, cause, effect, alter->relation, alter->lock, part);
		if (!is_measured(effect))
			return;
		measure(finding);
	}
	ListCell *cell;
	foreach (cell, relations) {
		Oid relation = lfirst_oid(cell);
		if (relation == alter->relation ||
			(get_rel_relkind(relation) == RELKIND_PARTITIONED_TABLE &&
			 !has_rows_elsewhere(relation)))
			continue;
		Finding *finding = add(alter, cause, effect, relation, lock, part);
		measure(finding);
		if (target < 0)
			continue;
		Finding *whole = &alter->analysis->effects->findings[target];
		whole->bytes = plus(whole->bytes, finding->bytes);
		whole->indexes += finding->indexes;
	}
}

void report(AlterTable *alter, Cause cause, Effect effect, List *relations, const Part &part)
{
	report(alter, cause, effect, relations, part, alter->lock);
}

void report_lock(AlterTable *alter, Oid relation, Lock lock, const char *facts)
{
	Finding *finding = first_finding(alter->analysis->effects, relation);
	if (finding != nullptr) {
		finding->lock = std::max(finding->lock, lock);
		finding->is_target |= relation == alter->relation;
	} else
		add(alter, Cause::lock, Effect::metadata, relation, lock,
			{nullptr, nullptr, nullptr, facts});
}

bool adds_column(const AlterTable *alter, const char *name)
{
	ListCell *cell;
	foreach (cell, alter->commands) {
		auto *command = lfirst_node(AlterTableCmd, cell);
		if (command->subtype == AT_AddColumn &&
			strcmp(castNode(ColumnDef, command->def)->colname, name) == 0)
			return true;
	}
	return false;
}

bool drops_column(const AlterTable *alter, const char *name)
{
	ListCell *cell;
	foreach (cell, alter->commands) {
		auto *command = lfirst_node(AlterTableCmd, cell);
		if (command->subtype == AT_DropColumn && strcmp(command->name, name) == 0)
			return true;
	}
	return false;
}

const Constraint *added_constraint(const AlterTable *alter, const char *name)
{
	ListCell *cell;
	foreach (cell, alter->commands) {
		auto *command = lfirst_node(AlterTableCmd, cell);
		if (command->subtype != AT_AddConstraint)
			continue;
		auto *constraint = castNode(Constraint, command->def);
		if (constraint->conname != nullptr && strcmp(constraint->conname, name) == 0)
			return constraint;
	}
	return nullptr;
}

void analyse_alter_table(Analysis *analysis, const AlterTableStmt *statement)
{
	Target target = find_target(analysis, statement->relation, statement->missing_ok);
	if (!OidIsValid(target.relation))
		return;
	AlterTable alter = {};
	alter.analysis = analysis;
	alter.relation = target.relation;
	alter.kind = get_rel_relkind(target.relation);
	alter.lock = static_cast<Lock>(AlterTableGetLockLevel(statement->cmds));
	alter.recurses = statement->relation->inh;
	alter.commands = statement->cmds;
	alter.dropped = constraints_dropped(&alter);
	analyse_commands(&alter);
	if (alter.kind != RELKIND_COMPOSITE_TYPE)
		return;
	ListCell *cell;
	foreach (cell,
			 typed_tables(get_rel_type_id(target.relation))) { // with CASCADE; else there is none
		AlterTable typed = alter;
		typed.relation = lfirst_oid(cell);
		typed.kind = get_rel_relkind(typed.relation);
		typed.recurses = true;
		typed.locks_descendants = false;
		typed.reached = NIL;
		analyse_commands(&typed);
	}
}

} // namespace safe_migrate::statement
