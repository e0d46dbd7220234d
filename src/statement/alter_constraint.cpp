// VALIDATE, ALTER and DROP CONSTRAINT, DROP COLUMN.
#include "statement/alter_table.hpp"

#include "pg/compat_alter.hpp"
#include "pg/oid_places.hpp"
#include "statement/constraint_rows.hpp"
#include "statement/dependents.hpp"
#include "statement/partition.hpp"

extern "C" {
#include "access/sysattr.h"
#include "catalog/catalog.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "utils/lsyscache.h"
}

namespace safe_migrate::statement {

namespace {

// A child's row of the same constraint: by name for CHECK, by column for NOT NULL (18).
const ConstraintRow *constraint_of_child(Oid child, const ConstraintRow *parents)
{
	if (parents->type != CONSTRAINT_FOREIGN && parents->n_keys == 0)
		return find_constraint(child, parents->name);
	const char *column =
		parents->type == 'n' ? get_attname(parents->relation, parents->keys[0], true) : nullptr;
	AttrNumber attnum = column == nullptr ? InvalidAttrNumber : get_attnum(child, column);
	ListCell *cell;
	foreach (cell, constraints_on(child)) {
		auto *row = static_cast<const ConstraintRow *>(lfirst(cell));
		if (row->type != parents->type)
			continue;
		if (parents->type == 'n'				  ? has_key(row, attnum)
			: parents->type == CONSTRAINT_FOREIGN ? row->parent == parents->oid
												  : strcmp(row->name, parents->name) == 0)
			return row;
	}
	return nullptr;
}

bool has_rows(Oid relation)
{
	return get_rel_relkind(relation) == RELKIND_RELATION || has_rows_elsewhere(relation);
}

// Which tables have to be looked at for it; all are locked.
List *unverified(AlterTable *alter, const ConstraintRow *constraint)
{
	bool inherits = constraint->type == CONSTRAINT_FOREIGN
						? alter->kind == RELKIND_PARTITIONED_TABLE
						: !constraint->no_inherit;
	if (!inherits)
		return list_make1_oid(alter->relation);
	List *relations = NIL;
	ListCell *cell;
	foreach (cell, reached_by(alter)) {
		Oid relation = lfirst_oid(cell);
		const ConstraintRow *row =
			relation == alter->relation ? constraint : constraint_of_child(relation, constraint);
		if (has_rows(relation) && row != nullptr && !row->is_valid)
			relations = lappend_oid(relations, relation);
	}
	if (constraint->type != CONSTRAINT_FOREIGN)
		alter->locks_descendants = true;
	return relations;
}

// Indexes, views and keys that go with a column, for the message.
const char *what_goes_along(const Dependents &dependents)
{
	const char *text = nullptr;
	int n = 0;
	for (int i = 0; i < dependents.n && n < 10; i++) {
		const ObjectAddress &object = dependents.items[i].object;
		const char *name = nullptr;
		if (dependents.items[i].original)
			continue;
		if (object.classId == RelationRelationId && object.objectSubId == 0 &&
			!IsToastNamespace(get_rel_namespace(object.objectId)))
			name = get_rel_name(object.objectId);
		else if (object.classId == ConstraintRelationId)
			name = get_constraint_name(object.objectId);
		if (name == nullptr)
			continue;
		text = text == nullptr ? psprintf("%s would go with it", name)
							   : psprintf("%s, %s", name, text);
		n++;
	}
	return text;
}

// A child keeps a column that it has by itself too, or by a parent that keeps it:
// ATExecDropColumn().
void add_losing_children(Oid relation, const char *column, pg::OidPlaces *losing_parents,
						 List **losing)
{
	check_stack_depth();
	ListCell *cell;
	foreach (cell, find_inheritance_children(relation, NoLock)) {
		Oid child = lfirst_oid(cell);
		Column own;
		if (!find_column(child, column, &own) || ++*losing_parents->put(child, 0) < own.parents ||
			own.is_local)
			continue;
		*losing = lappend_oid(*losing, child);
		add_losing_children(child, column, losing_parents, losing);
	}
}

// Tables that lose a column of this name, the altered one first.
List *losing(const AlterTable *alter, const char *column)
{
	List *relations = list_make1_oid(alter->relation);
	pg::OidPlaces losing_parents = {};
	if (alter->recurses)
		add_losing_children(alter->relation, column, &losing_parents, &relations);
	return relations;
}

// With others in the statement, an earlier one may drop what is in the way.
bool is_refused(AlterTable *alter, const AlterTableCmd *command, const Dependents &dependents)
{
	return list_length(alter->commands) == 1 &&
		   is_refused(alter->analysis, dependents, command->behavior);
}

// ATExecDropColumn(), which comes before NO INHERIT wherever that stands.
bool is_refused_as_inherited(AlterTable *alter, const AlterTableCmd *command, const Column &column)
{
	if (column.parents == 0 || !alter->analysis->at_once)
		return false;
	alter->analysis->effects->fails =
		psprintf("cannot drop inherited column \"%s\"", command->name);
	return true;
}

Dependents dependents_of_columns(const List *relations, const char *name)
{
	auto *columns =
		static_cast<ObjectAddress *>(palloc(sizeof(ObjectAddress) * list_length(relations)));
	int n = 0;
	ListCell *cell;
	foreach (cell, relations) {
		ObjectAddressSubSet(columns[n], RelationRelationId, lfirst_oid(cell),
							get_attnum(lfirst_oid(cell), name));
		n++;
	}
	return find_dependents(columns, n);
}

List *with_rows(const List *relations)
{
	List *result = NIL;
	ListCell *cell;
	foreach (cell, relations)
		if (has_rows(lfirst_oid(cell)))
			result = lappend_oid(result, lfirst_oid(cell));
	return result;
}

} // namespace

// One that the statement itself adds as NOT VALID: it is verified at its end, under its lock.
static void analyse_validate_added(AlterTable *alter, const Constraint *added)
{
	if (!added->skip_validation)
		return;
	Part part = {nullptr, added->conname, nullptr, nullptr};
	report(alter, Cause::validate_constraint, Effect::scan, reached_by(alter), part);
}

void analyse_validate_constraint(AlterTable *alter, const char *name)
{
	const ConstraintRow *constraint = find_constraint(alter->relation, name);
	const Constraint *added = constraint == nullptr ? added_constraint(alter, name) : nullptr;
	if (added != nullptr)
		return analyse_validate_added(alter, added);
	if (constraint == nullptr || constraint->is_valid)
		return;
	Part part = {nullptr, name, nullptr, nullptr};
	if (constraint->n_keys > 0)
		part.column = get_attname(alter->relation, constraint->keys[0], true);
	List *relations = unverified(alter, constraint);
	report(alter, Cause::validate_constraint, Effect::scan, relations, part);
	if (constraint->type != CONSTRAINT_FOREIGN)
		return;
	add_locks(alter->analysis, relations, alter->lock);
	add_lock(alter->analysis, constraint->referenced, Lock::row_share);
}

void analyse_alter_constraint(AlterTable *alter, const AlterTableCmd *command)
{
	const char *name = pg::altered_constraint(command);
	const ConstraintRow *constraint = find_constraint(alter->relation, name);
	if (constraint == nullptr)
		return;
	if (alter->kind == RELKIND_PARTITIONED_TABLE || constraint->type != CONSTRAINT_FOREIGN)
		alter->locks_descendants = true;
	bool enforces;
	if (!pg::changes_enforcement(command, &enforces) || constraint->is_enforced == enforces)
		return;
	if (!enforces) { // its triggers are dropped
		add_referenced(alter->analysis, constraint->referenced, Lock::access_exclusive);
		return;
	}
	Part part = {nullptr, name, nullptr, nullptr};
	List *relations = unverified(alter, constraint);
	report(alter, Cause::add_foreign_key, Effect::scan, relations, part);
	add_referenced(alter->analysis, constraint->referenced, Lock::share_row_exclusive);
}

void analyse_drop_constraint(AlterTable *alter, const AlterTableCmd *command)
{
	const ConstraintRow *constraint = find_constraint(alter->relation, command->name);
	if (constraint == nullptr)
		return;
	ObjectAddress address;
	ObjectAddressSet(address, ConstraintRelationId, constraint->oid);
	Dependents dependents = find_dependents(&address, 1);
	if (is_refused(alter, command, dependents))
		return;
	bool is_key = OidIsValid(constraint->index) && constraint->type != CONSTRAINT_FOREIGN;
	Part part = {nullptr, command->name, nullptr, nullptr};
	report(alter, Cause::drop_constraint, is_key ? Effect::client_break : Effect::metadata,
		   list_make1_oid(alter->relation), part);
	bool is_inherited = constraint->type == CONSTRAINT_CHECK || constraint->type == 'n';
	if (is_inherited && !constraint->no_inherit) {
		alter->locks_descendants = true;
		add_locks(alter->analysis, find_inheritance_children(alter->relation, NoLock), alter->lock);
	}
	if (constraint->type == CONSTRAINT_FOREIGN)
		add_lock(alter->analysis, constraint->referenced, alter->lock);
	add_deletion(alter->analysis, dependents, Cause::drop_other);
}

namespace {

struct Storing {
	Analysis *analysis;
	const char *attribute;
	List *seen; // types
};

// find_composite_type_dependencies(): columns of the type, and of what is made of it.
void add_storing(Storing *storing, Oid type)
{
	check_stack_depth();
	if (!OidIsValid(type) || list_member_oid(storing->seen, type))
		return;
	storing->seen = lappend_oid(storing->seen, type);
	ListCell *cell;
	foreach (cell, dependents_of(TypeRelationId, type, 0)) {
		auto *user = static_cast<const DependsOn *>(lfirst(cell));
		if (user->class_id == TypeRelationId)
			add_storing(storing, user->object);
		if (user->class_id != RelationRelationId || user->sub_id <= 0)
			continue;
		add_storing(storing, get_rel_type_id(user->object));
		if (get_rel_relkind(user->object) != RELKIND_RELATION)
			continue;
		Finding *finding = add_finding(storing->analysis, Cause::drop_cascade, Effect::data_loss,
									   user->object, Lock::none);
		finding->bytes = own_heap_bytes(user->object);
		finding->column = get_attname(user->object, static_cast<AttrNumber>(user->sub_id), true);
		finding->object = storing->attribute;
	}
}

// The values of columns of a composite type lose their part of an attribute.
void analyse_values_of_attribute(AlterTable *alter, const char *attribute)
{
	Storing storing = {alter->analysis, attribute, NIL};
	add_storing(&storing, get_rel_type_id(alter->relation));
}

} // namespace

void analyse_drop_column(AlterTable *alter, const AlterTableCmd *command)
{
	Column column;
	if (!find_column(alter->relation, command->name, &column) ||
		is_refused_as_inherited(alter, command, column))
		return;
	List *relations = losing(alter, command->name);
	Dependents dependents = dependents_of_columns(relations, command->name);
	alter->locks_descendants = true;
	if (is_refused(alter, command, dependents))
		return;
	bool has_values = alter->kind == RELKIND_RELATION || alter->kind == RELKIND_PARTITIONED_TABLE;
	has_values &= column.generated == '\0' || column.generated == ATTRIBUTE_GENERATED_STORED;
	Part part = {command->name, nullptr, nullptr, nullptr};
	int first = alter->analysis->effects->n;
	report(alter, Cause::drop_column, has_values ? Effect::data_loss : Effect::client_break,
		   lcons_oid(alter->relation, with_rows(list_copy_tail(relations, 1))), part);
	Finding *finding = &alter->analysis->effects->findings[first];
	finding->facts = what_goes_along(dependents);
	if (!alter->recurses && has_values && finding->bytes == 0 && finding->exempt == Exempt::no)
		finding->exempt = Exempt::empty; // whatever its children have
	if (alter->kind == RELKIND_COMPOSITE_TYPE)
		analyse_values_of_attribute(alter, command->name);
	add_deletion(alter->analysis, dependents, Cause::drop_other);
	add_locks(alter->analysis, find_inheritance_children(alter->relation, NoLock), alter->lock);
}

} // namespace safe_migrate::statement
