// What differs between PostgreSQL majors in ALTER TABLE; see compat.hpp.
#pragma once
#include "pg/postgres.hpp"

#include "pg/compat_analysis.hpp"

extern "C" {
#include "access/htup_details.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_constraint.h"
#include "nodes/parsenodes.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#if PG_VERSION_NUM >= 180000
#include "rewrite/rewriteHandler.h"
#endif
}

namespace safe_migrate::pg {

// Is the column NOT NULL, and do all its rows keep to it?  From 18 on it is a constraint, which may
// be the parent's alone.
enum class NotNull : uint8_t { no, not_valid, not_valid_inherited, valid };
inline NotNull not_null_state(Oid relation, AttrNumber attnum)
{
#if PG_VERSION_NUM >= 180000
	HeapTuple tuple = findNotNullConstraintAttnum(relation, attnum);
	if (!HeapTupleIsValid(tuple))
		return NotNull::no;
	auto *form = reinterpret_cast<Form_pg_constraint>(GETSTRUCT(tuple));
	NotNull state = form->convalidated ? NotNull::valid
					: form->conislocal ? NotNull::not_valid
									   : NotNull::not_valid_inherited;
	heap_freetuple(tuple);
	return state;
#else
	HeapTuple tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relation), Int16GetDatum(attnum));
	if (!HeapTupleIsValid(tuple))
		return NotNull::no;
	bool is_set = reinterpret_cast<Form_pg_attribute>(GETSTRUCT(tuple))->attnotnull;
	ReleaseSysCache(tuple);
	return is_set ? NotNull::valid : NotNull::no;
#endif
}

#if PG_VERSION_NUM >= 180000
inline constexpr bool not_null_is_a_constraint = true;
#else
inline constexpr bool not_null_is_a_constraint = false;
#endif

// ALTER DOMAIN … VALIDATE CONSTRAINT of one that is valid looks at no table (from 19 on).
#if PG_VERSION_NUM >= 190000
inline constexpr bool validates_domains_once = true;
#else
inline constexpr bool validates_domains_once = false;
#endif

// What follows a constraint and says how it is checked; is it NOT ENFORCED (from 18 on)?
inline bool is_not_enforced_attribute(const Constraint *attribute)
{
#if PG_VERSION_NUM >= 180000
	return attribute->contype == CONSTR_ATTR_NOT_ENFORCED;
#else
	return false;
#endif
}

inline bool is_constraint_attribute(const Constraint *constraint)
{
	switch (constraint->contype) {
		case CONSTR_ATTR_DEFERRABLE:
		case CONSTR_ATTR_NOT_DEFERRABLE:
		case CONSTR_ATTR_DEFERRED:
		case CONSTR_ATTR_IMMEDIATE:
#if PG_VERSION_NUM >= 180000
		case CONSTR_ATTR_ENFORCED:
		case CONSTR_ATTR_NOT_ENFORCED:
#endif
			return true;
		default:
			return false;
	}
}

// STORAGE of a column's definition: from 16 on.
inline const char *storage_name(const ColumnDef *column)
{
#if PG_VERSION_NUM >= 160000
	return column->storage_name;
#else
	return nullptr;
#endif
}

// What a generated column is written as: by default it is stored before 18, virtual from then on.
inline bool is_virtual(const Constraint *generated)
{
#if PG_VERSION_NUM >= 180000
	return generated->generated_kind == ATTRIBUTE_GENERATED_VIRTUAL;
#else
	return false;
#endif
}

// NOT ENFORCED (18): no row is ever looked at.
inline bool is_enforced(const Constraint *constraint)
{
#if PG_VERSION_NUM >= 180000
	return constraint->is_enforced;
#else
	return true;
#endif
}
inline bool is_enforced(Form_pg_constraint constraint)
{
#if PG_VERSION_NUM >= 180000
	return constraint->conenforced;
#else
	return true;
#endif
}

inline bool is_set_expression(const AlterTableCmd *command)
{
#if PG_VERSION_NUM >= 170000
	return command->subtype == AT_SetExpression;
#else
	return false;
#endif
}

// ALTER COLUMN … SET STORAGE DEFAULT
#if PG_VERSION_NUM >= 160000
inline constexpr bool has_default_storage = true;
#else
inline constexpr bool has_default_storage = false;
#endif

// ATExecDropExpression()'s message, of column and relation.
#if PG_VERSION_NUM >= 180000
inline constexpr const char *not_generated_message =
	"column \"%s\" of relation \"%s\" is not a generated column";
#else
inline constexpr const char *not_generated_message =
	"column \"%s\" of relation \"%s\" is not a stored generated column";
#endif

// ATExecValidateConstraint()'s message, of constraint and relation.
#if PG_VERSION_NUM >= 180000
inline constexpr const char *not_validated_message =
	"cannot validate constraint \"%s\" of relation \"%s\"";
#else
inline constexpr const char *not_validated_message =
	"constraint \"%s\" of relation \"%s\" is not a foreign key or check constraint";
#endif

// MergeAttributesIntoExisting()'s message, of column and child.
#if PG_VERSION_NUM >= 180000
inline constexpr const char *nullable_child_message =
	"column \"%s\" in child table \"%s\" must be marked NOT NULL";
#else
inline constexpr const char *nullable_child_message =
	"column \"%s\" in child table must be marked NOT NULL";
#endif

// What 18 says or does otherwise: check_of_type() of a table's row type; renametrig() of a
// partition's trigger; ATTACH and DETACH of a table that is not partitioned; SET LOGGED, SET
// UNLOGGED of a partitioned table, which did nothing; ALTER TABLE ONLY … DROP CONSTRAINT and DROP
// NOT NULL of one, which leaves its partitions theirs.
#if PG_VERSION_NUM >= 180000
inline constexpr const char *table_row_type_message = "type %s is the row type of another table";
inline constexpr int trigger_of_parent = ERRCODE_FEATURE_NOT_SUPPORTED;
inline constexpr int not_partitioned = ERRCODE_WRONG_OBJECT_TYPE;
inline constexpr const char *not_partitioned_message =
	"ALTER action %2$s cannot be performed on relation \"%1$s\"";
inline constexpr bool partitioned_has_persistence = false;
inline constexpr bool only_keeps_constraints_below = true;
#else
inline constexpr const char *table_row_type_message = "type %s is not a composite type";
inline constexpr int trigger_of_parent = ERRCODE_INTERNAL_ERROR;
inline constexpr int not_partitioned = ERRCODE_INVALID_OBJECT_DEFINITION;
inline constexpr const char *not_partitioned_message = "table \"%s\" is not partitioned";
inline constexpr bool partitioned_has_persistence = true;
inline constexpr bool only_keeps_constraints_below = false;
#endif

// SET ACCESS METHOD of a partitioned table, EXCLUDE on one.
#if PG_VERSION_NUM >= 170000
inline constexpr bool partitioned_has_access_method = true;
inline constexpr bool partitioned_has_exclusion = true;
#else
inline constexpr bool partitioned_has_access_method = false;
inline constexpr bool partitioned_has_exclusion = false;
#endif

// ATPrepCmd(): ADD CONSTRAINT locks all descendants whatever it adds.
#if PG_VERSION_NUM >= 180000
inline constexpr bool add_constraint_locks_descendants = true;
#else
inline constexpr bool add_constraint_locks_descendants = false;
#endif

// Identity columns of partitioned tables pass on to their partitions.
#if PG_VERSION_NUM >= 170000
inline constexpr bool identity_recurses = true;
#else
inline constexpr bool identity_recurses = false;
#endif

// Virtual generated columns (18) stand for their expression.
inline Node *expand_virtual_columns(Node *expression, Relation rel)
{
#if PG_VERSION_NUM >= 180000
	return expand_generated_columns_in_expr(expression, rel, 1);
#else
	return expression;
#endif
}

// ALTER CONSTRAINT name …, and whether it is … ENFORCED (18).
inline const char *altered_constraint(const AlterTableCmd *command)
{
#if PG_VERSION_NUM >= 180000
	return castNode(ATAlterConstraint, command->def)->conname;
#else
	return castNode(Constraint, command->def)->conname;
#endif
}
// ALTER CONSTRAINT of what is no foreign key: [NO] INHERIT of a NOT NULL (18).
inline bool alters_other_constraints(const AlterTableCmd *command)
{
#if PG_VERSION_NUM >= 180000
	return castNode(ATAlterConstraint, command->def)->alterInheritability;
#else
	return false;
#endif
}
inline bool changes_enforcement(const AlterTableCmd *command, bool *enforces)
{
#if PG_VERSION_NUM >= 180000
	auto *alter = castNode(ATAlterConstraint, command->def);
	*enforces = alter->is_enforced;
	return alter->alterEnforceability;
#else
	*enforces = false;
	return false;
#endif
}

// raw_expression_tree_walker(), whose callback has no prototype before 16.
inline bool walk_raw(Node *node, TreeWalker walker, void *context)
{
#if PG_VERSION_NUM >= 160000
	return raw_expression_tree_walker(node, walker, context);
#else
	return raw_expression_tree_walker(node, untyped(walker), context);
#endif
}

} // namespace safe_migrate::pg
