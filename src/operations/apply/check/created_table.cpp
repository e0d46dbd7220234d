// See check.hpp.  CREATE TABLE: it can't be tried while what its foreign keys refer to is written
// to.  Without them it stops nobody: it is made and undone, and each key looked at then as ADD
// FOREIGN KEY would be.
#include "operations/apply/check/check.hpp"

#include "operations/constraint/add.hpp"
#include "operations/ddl/target.hpp"
#include "operations/partition/steps.hpp"
#include "pg/compat_alter.hpp"
#include "pg/transaction.hpp"

extern "C" {
#include "access/table.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "tcop/dest.h"
#include "tcop/utility.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
}

namespace safe_migrate::operations::apply {

namespace {

// ---------------------------------------------------------------- foreign keys

bool is_foreign_key(const Node *node)
{
	return IsA(node, Constraint) &&
		   reinterpret_cast<const Constraint *>(node)->contype == CONSTR_FOREIGN;
}

// The column's constraints without its foreign keys and what says how those are checked.
List *take_keys(const ColumnDef *column, List **keys)
{
	List *others = NIL;
	bool of_key = false;
	ListCell *cell;
	foreach (cell, column->constraints) {
		auto *constraint = lfirst_node(Constraint, cell);
		of_key = constraint->contype == CONSTR_FOREIGN ||
				 (of_key && pg::is_constraint_attribute(constraint));
		if (!of_key)
			others = lappend(others, constraint);
		else if (constraint->contype == CONSTR_FOREIGN) {
			constraint->fk_attrs = list_make1(makeString(pstrdup(column->colname)));
			*keys = lappend(*keys, constraint);
		}
	}
	return others;
}

CreateStmt *without_keys(const CreateStmt *create, List **keys)
{
	auto *bare = static_cast<CreateStmt *>(copyObjectImpl(create));
	List *elements = NIL;
	ListCell *cell;
	foreach (cell, bare->tableElts) {
		auto *element = static_cast<Node *>(lfirst(cell));
		if (is_foreign_key(element)) {
			*keys = lappend(*keys, element);
			continue;
		}
		if (IsA(element, ColumnDef))
			castNode(ColumnDef, element)->constraints =
				take_keys(castNode(ColumnDef, element), keys);
		elements = lappend(elements, element);
	}
	bare->tableElts = elements;
	return bare;
}

// No statement of its own, for event triggers and hooks.
void make_table(CreateStmt *create, const char *sql)
{
	PlannedStmt *plan = makeNode(PlannedStmt);
	plan->commandType = CMD_UTILITY;
	plan->utilityStmt = reinterpret_cast<Node *>(create);
	plan->canSetTag = true;
	plan->stmt_location = -1;
	standard_ProcessUtility(plan, sql, false, PROCESS_UTILITY_SUBCOMMAND, nullptr, nullptr,
							None_Receiver, nullptr);
	CommandCounterIncrement();
}

void check_keys(const CreateStmt *create, const char *sql)
{
	List *keys = NIL;
	CreateStmt *bare = without_keys(create, &keys);
	bool can_be_made = create->inhRelations == NIL &&
					   create->relation->relpersistence != RELPERSISTENCE_TEMP && !XactReadOnly &&
					   !RecoveryInProgress();
	if (keys == NIL || !can_be_made)
		return;
	make_table(bare, sql);
	Oid schema = RangeVarGetCreationNamespace(create->relation);
	Relation relation =
		table_open(get_relname_relid(create->relation->relname, schema), AccessShareLock);
	ListCell *cell;
	foreach (cell, keys)
		if (is_known(lfirst_node(Constraint, cell)))
			constraint::check_definition(
				relation, constraint::foreign_key(relation, lfirst_node(Constraint, cell)));
	table_close(relation, NoLock);
}

// ---------------------------------------------------------------- partitions

bool has_primary_key(Relation relation)
{
	(void)RelationGetIndexList(relation); // sets rd_pkindex
	return OidIsValid(relation->rd_pkindex);
}

bool is_primary_key(const Node *element)
{
	if (IsA(element, Constraint))
		return reinterpret_cast<const Constraint *>(element)->contype == CONSTR_PRIMARY;
	ListCell *cell;
	foreach (cell, reinterpret_cast<const ColumnDef *>(element)->constraints)
		if (lfirst_node(Constraint, cell)->contype == CONSTR_PRIMARY)
			return true;
	return false;
}

// Its columns are its parent's, and so is its primary key.
void check_elements(const CreateStmt *create, Relation parent)
{
	ListCell *cell;
	foreach (cell, create->tableElts) {
		auto *element = static_cast<Node *>(lfirst(cell));
		if (IsA(element, ColumnDef) &&
			get_attnum(RelationGetRelid(parent), castNode(ColumnDef, element)->colname) <= 0)
			refuse(ERRCODE_UNDEFINED_COLUMN, "column \"%s\" does not exist",
				   castNode(ColumnDef, element)->colname);
		bool may_be = IsA(element, ColumnDef) || IsA(element, Constraint);
		if (may_be && is_primary_key(element) && has_primary_key(parent))
			refuse(ERRCODE_INVALID_TABLE_DEFINITION,
				   "multiple primary keys for table \"%s\" are not allowed",
				   create->relation->relname);
	}
}

} // namespace

void check_created_table(const Unit &unit)
{
	const auto *create = castNode(CreateStmt, unit.statement);
	const char *name = create->relation->relname;
	Oid schema = RangeVarGetCreationNamespace(create->relation);
	bool is_there = OidIsValid(get_relname_relid(name, schema));
	if (is_there && !create->if_not_exists)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_TABLE), errmsg("relation \"%s\" already exists", name)));
	if (is_there) // it is left as it is
		return;
	if (!create->partbound) {
		if (unit.is_queued)
			pg::run_undone([&] { check_keys(create, unit.sql); });
		return;
	}
	Oid whole = RangeVarGetRelid(linitial_node(RangeVar, create->inhRelations), NoLock, false);
	if (get_rel_relkind(whole) == RELKIND_RELATION)
		refuse(ERRCODE_INVALID_OBJECT_DEFINITION, "\"%s\" is not partitioned", get_rel_name(whole));
	Relation parent = ddl::open_owned_table(whole);
	(void)partition::check_new_partition(parent, create, unit.sql);
	check_elements(create, parent);
	table_close(parent, NoLock);
}

} // namespace safe_migrate::operations::apply
