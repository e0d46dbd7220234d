// What the server would refuse of a statement, found out when it is queued and not by a worker.
#pragma once
#include "operations/apply/script.hpp"
#include "operations/ddl/recipe.hpp"
#include "operations/index/definition.hpp"

namespace safe_migrate::operations::apply {

// The CREATE INDEX that the unit is, on a table or materialized view of the current user's; the
// errors of index/check.hpp.
index::Definition read_index(const Unit &unit);

// Not a constraint that only the plain statement can add.
bool is_known(const Constraint *constraint);

// Of a statement that needs no recipe: the server's errors as far as the catalog tells them without
// a lock that stops anybody.  What needs none to be carried out is tried besides
// (ddl/rehearsal.hpp).
void check_as_it_stands(const Unit &unit);

// The ownership of partitions and children that the server will ask for then.
void need_owners(ddl::Recipe *recipe, const Unit &unit);

// Its parts: a sub-command on a column, on another thing of the table; any other statement.
void check_column_command(const Unit &unit, Relation relation, const AlterTableCmd *command);
void check_table_command(Relation relation, const AlterTableCmd *command);
void check_objects(const Unit &unit);
// What others inherit, or it inherits from them.
void check_tree_command(const Unit &unit, Relation relation, const AlterTableCmd *command);
void check_inherited_rename(const RenameStmt *rename, Oid relation);

} // namespace safe_migrate::operations::apply
