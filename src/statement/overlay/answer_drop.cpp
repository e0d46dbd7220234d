// DROP in a script: what goes along may be the script's own, or hang on what it made.
#include "statement/overlay/answer.hpp"

#include "statement/dependents.hpp"

extern "C" {
#include "catalog/partition.h"
#include "nodes/value.h"
#include "utils/lsyscache.h"
}

namespace safe_migrate::statement::overlay {

namespace {

// The keys that the script added go with the table: their other ends are locked for it.
void lock_other_ends(const Overlay *overlay, Analysis *analysis, const ScriptRelation *table,
					 DropBehavior behavior)
{
	ListCell *cell;
	foreach (cell, table->constraints) {
		auto *constraint = static_cast<const ScriptConstraint *>(lfirst(cell));
		if (constraint->parent == nullptr || constraint->dropped_by != 0)
			continue;
		add_script_lock(analysis, constraint->parent, Lock::access_exclusive);
	}
	if (table->of != nullptr && OidIsValid(table->of->oid)) {
		add_script_lock(analysis, table->of, Lock::access_exclusive);
		Oid rest = get_default_partition_oid(table->of->oid);
		if (OidIsValid(rest))
			add_lock(analysis, rest, Lock::access_exclusive);
	}
	if (table->referenced_by != 0 && behavior == DROP_CASCADE)
		add_dependence(overlay, analysis, table->oid, table->referenced_by,
					   "foreign keys that refer to it");
}

// What was there may depend on it by now: of something new, only by its name.
int tied_to(const Overlay *overlay, const Named &target)
{
	if (!target.is_new())
		return overlay->ties_by;
	int by = std::min(mentioned_by(overlay, target.script->name), overlay->ties_by);
	return by > target.script->created_by ? by : 0;
}

void drop_relations(const Overlay *overlay, Analysis *analysis, const DropStmt *drop)
{
	DropStmt *live = copy_of(drop);
	live->objects = NIL;
	Lock lock = drop->concurrent ? Lock::share_update_exclusive : Lock::access_exclusive;
	ListCell *cell;
	foreach (cell, drop->objects) {
		auto *names = lfirst_node(List, cell);
		const RangeVar *name = range_var_of(names);
		Named target = resolve(overlay, name);
		if (!target.exists() && target.gone_by != 0) {
			if (!drop->missing_ok)
				fails_for_lack_of(overlay, name, target.gone_by);
			continue;
		}
		if (target.script != nullptr) {
			if (target.is_new())
				judge_new(overlay, analysis, target.script, lock);
			lock_other_ends(overlay, analysis, target.script, drop->behavior);
			if (target.script->partitions_by != 0 && !target.is_new())
				add_dependence(overlay, analysis, target.oid, target.script->partitions_by,
							   "its partitions, children or parents");
		}
		int tied_by = drop->behavior == DROP_CASCADE ? tied_to(overlay, target) : 0;
		if (target.exists() && tied_by > analysis->effects->depends_on)
			add_dependence(overlay, analysis, target.oid, tied_by,
						   psprintf("what depends on \"%s\"", name->relname));
		if (!target.is_new())
			live->objects = lappend(live->objects, names);
	}
	if (live->objects != NIL)
		ask_catalog(overlay, analysis, live);
}

const char *name_of_dropped(Node *object)
{
	if (IsA(object, String))
		return strVal(object);
	const List *names = IsA(object, TypeName)		  ? castNode(TypeName, object)->names
						: IsA(object, ObjectWithArgs) ? castNode(ObjectWithArgs, object)->objname
						: IsA(object, List)			  ? castNode(List, object)
													  : NIL;
	return names != NIL && IsA(llast(names), String) ? strVal(llast(names)) : "";
}

bool belongs_to_relation(ObjectType type)
{
	return type == OBJECT_TRIGGER || type == OBJECT_RULE || type == OBJECT_POLICY;
}

// Types, functions, schemas …: what hangs on them may have come to by the script.
void drop_objects(const Overlay *overlay, Analysis *analysis, const DropStmt *drop)
{
	ask_catalog(overlay, analysis, drop);
	if (belongs_to_relation(drop->removeType))
		return;
	ListCell *cell;
	foreach (cell, drop->objects) {
		const char *name = name_of_dropped(static_cast<Node *>(lfirst(cell)));
		int by = drop->behavior == DROP_CASCADE			? overlay->ties_by
				 : drop->removeType == OBJECT_EXTENSION ? mentioned_by(overlay, name)
														: 0;
		if (by != 0)
			return add_dependence(overlay, analysis, InvalidOid, by,
								  psprintf("what depends on \"%s\"", name));
	}
}

// Tables that the script has made in it, or brought there, are dropped as by their names; what was
// in it before, the catalog knows.
void drop_tables_in(const Overlay *overlay, Analysis *analysis, const char *schema,
					const DropStmt *statement)
{
	DropStmt *drop = copy_of(statement);
	drop->removeType = OBJECT_TABLE;
	drop->objects = NIL;
	const Oid space = namespace_of(overlay, schema);
	ListCell *cell;
	foreach (cell, relations_in(overlay, schema)) {
		auto *relation = static_cast<const ScriptRelation *>(lfirst(cell));
		if (OidIsValid(space) && get_rel_namespace(relation->oid) == space)
			continue;
		char kind = OidIsValid(relation->oid) ? get_rel_relkind(relation->oid) : relation->kind;
		if (stands_for_table(kind))
			drop->objects = lappend(drop->objects, list_make2(makeString(pstrdup(schema)),
															  makeString(pstrdup(relation->name))));
	}
	const char *command = analysis->effects->command;
	if (drop->objects != NIL)
		drop_relations(overlay, analysis, drop);
	analysis->effects->command = command;
}

void drop_schemas(const Overlay *overlay, Analysis *analysis, const DropStmt *drop)
{
	DropStmt *live = copy_of(drop);
	live->objects = NIL;
	ListCell *cell;
	foreach (cell, drop->objects) {
		auto *object = static_cast<Node *>(lfirst(cell));
		const char *schema = strVal(object);
		const SchemaState state = state_of_schema(overlay, schema);
		if (state.changed_by != 0 && !state.exists && drop->missing_ok)
			continue;
		const bool is_scripts = insist_on_schema(overlay, schema);
		drop_tables_in(overlay, analysis, schema, drop);
		if (!is_scripts)
			live->objects = lappend(live->objects, object);
		else if (drop->behavior == DROP_CASCADE && overlay->ties_by > state.changed_by)
			add_dependence(overlay, analysis, InvalidOid, overlay->ties_by,
						   psprintf("what depends on \"%s\"", schema));
	}
	if (live->objects != NIL)
		drop_objects(overlay, analysis, live);
}
} // namespace

void answer_drop(const Overlay *overlay, Analysis *analysis, const DropStmt *statement)
{
	switch (statement->removeType) {
		case OBJECT_TABLE:
		case OBJECT_VIEW:
		case OBJECT_MATVIEW:
		case OBJECT_INDEX:
		case OBJECT_SEQUENCE:
		case OBJECT_FOREIGN_TABLE:
			return drop_relations(overlay, analysis, statement);
		case OBJECT_SCHEMA:
			return drop_schemas(overlay, analysis, statement);
		default:
			return drop_objects(overlay, analysis, statement);
	}
}

} // namespace safe_migrate::statement::overlay
