// CREATE TABLE and CREATE INDEX in a script: parents, references and columns may be its own.
#include "statement/overlay/answer.hpp"

#include "statement/dependents.hpp"

extern "C" {
#include "nodes/makefuncs.h"
#include "nodes/value.h"
#include "utils/lsyscache.h"
}

namespace safe_migrate::statement::overlay {

namespace {

// A table of the script's own that the new one is put under, or refers to.
void look_at_parent(const Overlay *overlay, Analysis *analysis, const RangeVar *name)
{
	Named parent = resolve(overlay, name);
	if (parent.is_new() && parent.script->partitions_by != 0)
		judge_new(overlay, analysis, parent.script, Lock::none);
}

void look_at_references(const Overlay *overlay, Analysis *analysis, const List *constraints)
{
	ListCell *cell;
	foreach (cell, constraints) {
		auto *element = static_cast<Node *>(lfirst(cell));
		if (IsA(element, Constraint) && castNode(Constraint, element)->contype == CONSTR_FOREIGN)
			look_at_parent(overlay, analysis, castNode(Constraint, element)->pktable);
		else if (IsA(element, ColumnDef))
			look_at_references(overlay, analysis, castNode(ColumnDef, element)->constraints);
	}
}
} // namespace

// The constraints of the default partition say whether it is scanned for a new one.
void answer_create_table(const Overlay *overlay, Analysis *analysis, const CreateStmt *statement)
{
	CreateStmt *create = copy_of(statement);
	if (create->if_not_exists &&
		is_taken(overlay, creation_schema(overlay, create->relation), create->relation->relname))
		return;
	create->if_not_exists = false; // the catalog may know the name
	ask_catalog(overlay, analysis, create);
	look_at_references(overlay, analysis, create->tableElts);
	ListCell *cell;
	foreach (cell, create->inhRelations)
		look_at_parent(overlay, analysis, lfirst_node(RangeVar, cell));
	if (create->partbound == nullptr)
		return;
	Named parent = resolve(overlay, linitial_node(RangeVar, create->inhRelations));
	int by;
	if (!parent.is_new() && OidIsValid(parent.oid) && family_is_changed(overlay, parent.oid, &by))
		add_dependence(overlay, analysis, parent.oid, by, "its partitions");
}

namespace {

bool has_script_column(const ScriptRelation *table, const IndexStmt *create)
{
	if (names_changed_column(table, create->whereClause))
		return true;
	ListCell *cell;
	foreach (cell, list_concat_copy(create->indexParams, create->indexIncludingParams)) {
		auto *element = lfirst_node(IndexElem, cell);
		if ((element->name != nullptr && find_column(table, element->name) != nullptr) ||
			names_changed_column(table, element->expr))
			return true;
	}
	return false;
}

// It comes into the schema of its table.
RangeVar *index_name(const Named &table, const IndexStmt *create)
{
	const char *schema = table.script != nullptr ? table.script->schema
												 : get_namespace_name(get_rel_namespace(table.oid));
	return makeRangeVar(const_cast<char *>(schema), create->idxname, -1);
}
} // namespace

void answer_create_index(const Overlay *overlay, Analysis *analysis, const IndexStmt *create)
{
	Named table = resolve(overlay, create->relation);
	Lock lock = create->concurrent ? Lock::share_update_exclusive : Lock::share;
	int by;
	analysis->effects->commits_inside = create->concurrent;
	if (table.is_new())
		return judge_new(overlay, analysis, table.script, lock);
	if (!table.exists() && table.gone_by != 0)
		fails_for_lack_of(overlay, create->relation, table.gone_by);
	if (OidIsValid(table.oid) && family_is_changed(overlay, table.oid, &by))
		return add_dependence(overlay, analysis, table.oid, by, "its partitions");
	if (create->if_not_exists && OidIsValid(table.oid) && create->idxname != nullptr) {
		Named index = resolve(overlay, index_name(table, create));
		IndexStmt *live = copy_of(create);
		live->if_not_exists = false;
		if (index.script != nullptr)
			return (void)add_lock(analysis, table.oid, lock);
		if (!index.exists())
			return answer_create_index(overlay, analysis, live);
	}
	if (table.script == nullptr || !has_script_column(table.script, create))
		return ask_catalog(overlay, analysis, create);
	bool only = !create->relation->inh && get_rel_relkind(table.oid) == RELKIND_PARTITIONED_TABLE;
	if (only)
		add_lock(analysis, table.oid, lock);
	else
		add_answer(analysis, Cause::create_index, Effect::index_build, table.oid, lock)->object =
			create->idxname;
	if (create->relation->inh)
		add_locks(analysis, with_descendants(table.oid), lock);
}

} // namespace safe_migrate::statement::overlay
