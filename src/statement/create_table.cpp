// CREATE TABLE: what it does to relations that are there already.  Follows transformCreateStmt(),
// DefineRelation() and, for REFERENCES, ATAddForeignKeyConstraint().
#include "statement/dependents.hpp"
#include "statement/partition.hpp"
#include "statement/relations.hpp"

extern "C" {
#include "access/genam.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "utils/lsyscache.h"
}

namespace safe_migrate::statement {

namespace {

bool is_own_name(const CreateStmt *statement, const RangeVar *name)
{
	return strcmp(statement->relation->relname, name->relname) == 0 &&
		   (name->schemaname == nullptr || statement->relation->schemaname == nullptr ||
			strcmp(name->schemaname, statement->relation->schemaname) == 0);
}

void add_reference(Analysis *analysis, const CreateStmt *statement, const Constraint *constraint)
{
	if (constraint->contype != CONSTR_FOREIGN || is_own_name(statement, constraint->pktable))
		return;
	Target target = find_target(analysis, constraint->pktable, false);
	if (!OidIsValid(target.relation))
		return;
	add_referenced(analysis, target.relation, Lock::share_row_exclusive);
	add_right(analysis, RelationRelationId, target.relation, Right::reference);
}

void add_references(Analysis *analysis, const CreateStmt *statement, const List *constraints)
{
	ListCell *cell;
	foreach (cell, constraints) {
		if (IsA(lfirst(cell), Constraint))
			add_reference(analysis, statement, lfirst_node(Constraint, cell));
	}
}

void add_partition_of(Analysis *analysis, const CreateStmt *statement, Oid parent_oid)
{
	if (Finding *finding = add_lock(analysis, parent_oid, Lock::access_exclusive))
		finding->is_target = true;
	if (get_rel_relkind(parent_oid) != RELKIND_PARTITIONED_TABLE)
		return;
	Relation parent = open_judged(parent_oid);
	if (parent == nullptr)
		return;
	add_default_partition(analysis, parent, statement->partbound, Cause::create_partition_default,
						  analysis->source);
	add_keys_of_parent(analysis, parent, nullptr);
	close_judged(parent);
}

void add_parents(Analysis *analysis, const CreateStmt *statement)
{
	ListCell *cell;
	foreach (cell, statement->inhRelations) {
		Target parent = find_target(analysis, lfirst_node(RangeVar, cell), false);
		if (!OidIsValid(parent.relation))
			continue;
		if (statement->partbound != nullptr)
			add_partition_of(analysis, statement, parent.relation);
		else
			add_lock(analysis, parent.relation, Lock::share_update_exclusive);
	}
}

// IF NOT EXISTS where it does: nothing is done but its name is looked up.
bool is_skipped(const CreateStmt *statement)
{
	return statement->if_not_exists &&
		   OidIsValid(RangeVarGetRelid(statement->relation, NoLock, true));
}

} // namespace

void analyse_create_table(Analysis *analysis, const CreateStmt *statement)
{
	if (is_skipped(statement))
		return;
	add_parents(analysis, statement);
	add_references(analysis, statement, statement->constraints);
	ListCell *cell;
	foreach (cell, statement->tableElts) {
		auto *element = static_cast<Node *>(lfirst(cell));
		if (IsA(element, ColumnDef))
			add_references(analysis, statement, castNode(ColumnDef, element)->constraints);
		else if (IsA(element, Constraint))
			add_reference(analysis, statement, castNode(Constraint, element));
	}
}

} // namespace safe_migrate::statement
