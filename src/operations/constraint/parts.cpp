// See parts.hpp.  Level by level as the server goes: where a table has its own, nothing below it is
// looked at.
#include "operations/constraint/parts.hpp"

#include "operations/ddl/sql.hpp"
#include "operations/index/definition.hpp"
#include "pg/compat_analysis.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
}

namespace safe_migrate::operations::constraint {

namespace {

// Without NOT VALID.
char *text_of(Oid constraint)
{
	constexpr const char *not_valid = " NOT VALID";
	char *text = ddl::constraint_text(constraint);
	size_t length = strlen(text), end = strlen(not_valid);
	if (length > end && strcmp(text + length - end, not_valid) == 0)
		text[length - end] = '\0';
	return text;
}

// As MergeWithExistingConstraint(): true where it is merged with the child's own.
bool is_merged(Oid child, const Definition &definition)
{
	Oid own = get_relation_constraint_oid(child, definition.name, true);
	if (!OidIsValid(own))
		return false;
	const char *text = text_of(own);
	if (strcmp(text, psprintf("%s NO INHERIT", definition.body)) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("constraint \"%s\" conflicts with non-inherited constraint on relation "
						"\"%s\"",
						definition.name, get_rel_name(child))));
	if (strcmp(text, definition.body) != 0)
		ereport(ERROR, (errcode(ERRCODE_DUPLICATE_OBJECT),
						errmsg("constraint \"%s\" for relation \"%s\" already exists",
							   definition.name, get_rel_name(child))));
	return true;
}

} // namespace

void check_children(ddl::Recipe *recipe, Oid table, const Definition &definition)
{
	ddl::need_owner(recipe, table);
	if (definition.no_inherit)
		return;
	ListCell *cell;
	foreach (cell, find_inheritance_children(table, NoLock)) {
		Oid child = lfirst_oid(cell);
		if (is_merged(child, definition))
			ddl::need_owner(recipe, child);
		else
			check_children(recipe, child, definition);
	}
}

namespace {

struct Key { // a row of pg_constraint
	Oid parent;
	bool valid;
};

Key read_key(Oid constraint)
{
	HeapTuple tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for constraint %u", constraint);
	auto form = reinterpret_cast<Form_pg_constraint>(GETSTRUCT(tuple));
	Key key = {form->conparentid, form->convalidated};
	ReleaseSysCache(tuple);
	return key;
}

// As tryAttachPartitionForeignKey(): before 18 one that is valid.
Oid find_key(Relation partition, const Definition &definition)
{
	ListCell *cell;
	foreach (cell, RelationGetFKeyList(partition)) {
		Oid oid = static_cast<const ForeignKeyCacheInfo *>(lfirst(cell))->conoid;
		Key key = read_key(oid);
		if (definition.body && !OidIsValid(key.parent) &&
			(key.valid || pg::attaches_unvalidated_keys) &&
			strcmp(text_of(oid), definition.body) == 0)
			return oid;
	}
	return InvalidOid;
}

List *make_leaf(Oid oid, char *key)
{
	auto *leaf = static_cast<Leaf *>(palloc(sizeof(Leaf)));
	*leaf = {oid, key};
	return list_make1(leaf);
}

// As addFkConstraint(); one that an earlier try has left is gone on with.
char *name_of_key(Relation leaf, const Definition &definition)
{
	if (!definition.name) // of a new column: not asked
		return nullptr;
	Oid own = get_relation_constraint_oid(RelationGetRelid(leaf), definition.name, true);
	if (!OidIsValid(own) || strcmp(text_of(own), definition.body) == 0)
		return pstrdup(definition.name);
	if (pg::partitioned_keys_can_be_not_valid) // the server makes and names it
		return nullptr;
	return ChooseConstraintName(RelationGetRelationName(leaf),
								index::joined_names(definition.columns), "fkey",
								RelationGetNamespace(leaf), NIL);
}

List *leaves_of_partition(Oid oid, const Definition &definition)
{
	Relation partition = table_open(oid, AccessShareLock);
	char kind = partition->rd_rel->relkind;
	List *leaves = NIL;
	if (kind == RELKIND_FOREIGN_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("foreign key constraints are not supported on foreign tables"),
				 errdetail("\"%s\" is a foreign table.", RelationGetRelationName(partition))));
	Oid own = find_key(partition, definition);
	if (OidIsValid(own))
		leaves = read_key(own).valid ? NIL : make_leaf(oid, get_constraint_name(own));
	else if (kind == RELKIND_PARTITIONED_TABLE)
		leaves = leaves_without_key(oid, definition);
	else
		leaves = make_leaf(oid, name_of_key(partition, definition));
	table_close(partition, NoLock);
	return leaves;
}

} // namespace

List *leaves_without_key(Oid table, const Definition &definition)
{
	List *leaves = NIL;
	ListCell *cell;
	foreach (cell, find_inheritance_children(table, NoLock))
		leaves = list_concat(leaves, leaves_of_partition(lfirst_oid(cell), definition));
	return leaves;
}

namespace {

// The partition's part of a key of its parent.
Oid part_of_key(Oid oid, Oid parent)
{
	Relation partition = table_open(oid, AccessShareLock);
	Oid found = InvalidOid;
	ListCell *cell;
	foreach (cell, RelationGetFKeyList(partition)) {
		Oid key = static_cast<const ForeignKeyCacheInfo *>(lfirst(cell))->conoid;
		if (read_key(key).parent == parent)
			found = key;
	}
	table_close(partition, NoLock);
	return found;
}

List *unvalidated_parts(Oid table, Oid key)
{
	List *leaves = NIL;
	ListCell *cell;
	foreach (cell, find_inheritance_children(table, NoLock)) {
		Oid partition = lfirst_oid(cell);
		Oid own = part_of_key(partition, key);
		if (!OidIsValid(own) || read_key(own).valid)
			continue;
		leaves = list_concat(leaves, get_rel_relkind(partition) == RELKIND_PARTITIONED_TABLE
										 ? unvalidated_parts(partition, own)
										 : make_leaf(partition, get_constraint_name(own)));
	}
	return leaves;
}

} // namespace

List *leaves_to_validate(Oid table, const Definition &definition)
{
	Oid key = get_relation_constraint_oid(table, definition.name, true);
	return OidIsValid(key) ? unvalidated_parts(table, key) : leaves_without_key(table, definition);
}

} // namespace safe_migrate::operations::constraint
