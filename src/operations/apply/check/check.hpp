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

// The server's errors for what it names, before anything else is said of it.
void check_names(const Unit &unit);

// The sub-commands of one ALTER TABLE that can't go together.
void check_parts_together(const AlterTableStmt *alter);

// The ownership of partitions and children that the server will ask for then.
void need_owners(ddl::Recipe *recipe, const Unit &unit);

// Its parts: a sub-command on a column, on another thing of the table; any other statement.
void check_column_command(const Unit &unit, Relation relation, const AlterTableCmd *command);
void check_new_column(const Unit &unit, Relation relation, const AlterTableCmd *command);
void check_column_type(Relation relation, const AlterTableCmd *command,
					   const FormData_pg_attribute *column, bool is_only, const char *sql);
void check_identity_command(Relation relation, const AlterTableCmd *command,
							const FormData_pg_attribute *column, bool is_only);
void check_identity_type(Oid type);
void check_storage_mode(const char *mode, Oid type);
void check_storage_command(Relation relation, const AlterTableCmd *command);
void check_of_type(Relation relation, const AlterTableCmd *command);
void check_attribute_command(Oid type_relation, const AlterTableCmd *command);
void check_table_command(Relation relation, const AlterTableCmd *command);
void check_objects(const Unit &unit);
void check_created_table(const Unit &unit);
void check_trigger(const CreateTrigStmt *create, const char *sql);
void check_rule(const RuleStmt *create, const char *sql);
// ATTACH and DETACH PARTITION: what is said first; what the one lacks to be a partition of the
// other.
void check_attached(const AlterTableStmt *alter);
void check_attach(Relation parent, const PartitionCmd *command, const char *sql);
// What INHERIT and ATTACH PARTITION compare.
void check_columns_of_child(Relation child, Relation parent);
void check_constraints_of_child(Relation child, Relation parent);
// What others inherit, or it inherits from them.
void check_tree_command(const Unit &unit, Relation relation, const AlterTableCmd *command);
// RENAME, SET SCHEMA: names that others have.
void check_rename(const RenameStmt *rename);
void check_moved(const AlterObjectSchemaStmt *move);

// What several of them ask.  The error is the server's, in its words.
[[noreturn]] void refuse(int sqlstate, const char *message, const char *name = "",
						 const char *second = "", const char *third = "");
void check_no_system_catalog(Relation relation, const char *name);
// As RangeVarCallbackForAlterRelation(): ALTER VIEW of a view, and so on.
void check_relation_kind(ObjectType type, const RangeVar *name, Oid relation, bool is_rename);
// As ATSimplePermissions(): what views don't have.
void check_kind_for(const AlterTableCmd *command, Oid relation);
// From how many parents the column is inherited.
int inherited_count(Oid relation, const char *column);
bool can_have_triggers(char kind);
// Tables of the composite type; an error where there are any and no CASCADE.
List *typed_tables(Oid type_relation, DropBehavior behavior);

} // namespace safe_migrate::operations::apply
