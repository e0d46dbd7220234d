// What a table has to have before it becomes a partition without any work: what the parent has.
#include "operations/constraint/add.hpp"
#include "operations/constraint/not_null.hpp"
#include "operations/constraint/steps.hpp"
#include "operations/constraint/undo.hpp"
#include "operations/ddl/sql.hpp"
#include "operations/index/steps.hpp"
#include "operations/partition/steps.hpp"
#include "pg/compat_analysis.hpp"
#include "statement/index_match.hpp"
#include "statement/relations.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/sysattr.h"
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "nodes/makefuncs.h"
#include "parser/parse_utilcmd.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
}

namespace safe_migrate::operations::partition {

using ddl::identifier;
using ddl::quoted_name;

namespace {

// ---------------------------------------------------------------- columns and CHECKs

// MergeAttributesIntoExisting(), what can't be mended by adding something.
void check_columns(Relation parent, Relation child)
{
	const char *name = RelationGetRelationName(child);
	for (int i = 0; i < RelationGetNumberOfAttributes(parent); i++) {
		const Form_pg_attribute column = TupleDescAttr(RelationGetDescr(parent), i);
		if (column->attisdropped)
			continue;
		statement::Column found = {};
		if (!statement::find_column(RelationGetRelid(child), NameStr(column->attname), &found))
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("child table is missing column \"%s\"", NameStr(column->attname))));
		if (found.type != column->atttypid || found.typmod != column->atttypmod)
			ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
							errmsg("child table \"%s\" has different type for column \"%s\"", name,
								   NameStr(column->attname))));
		if (found.collation != column->attcollation)
			ereport(ERROR, (errcode(ERRCODE_COLLATION_MISMATCH),
							errmsg("child table \"%s\" has different collation for column \"%s\"",
								   name, NameStr(column->attname))));
	}
	for (int i = 0; i < RelationGetNumberOfAttributes(child); i++) {
		const Form_pg_attribute column = TupleDescAttr(RelationGetDescr(child), i);
		if (!column->attisdropped &&
			get_attnum(RelationGetRelid(parent), NameStr(column->attname)) == InvalidAttrNumber)
			ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
							errmsg("table \"%s\" contains column \"%s\" not found in parent \"%s\"",
								   name, NameStr(column->attname), RelationGetRelationName(parent)),
							errdetail("The new partition may contain only the columns present in "
									  "parent.")));
	}
}

// Columns that the steps of a primary key will make NOT NULL.
Bitmapset *columns_of_new_key(Relation parent, Relation child)
{
	(void)RelationGetIndexList(child); // sets rd_pkindex
	return OidIsValid(child->rd_pkindex)
			   ? nullptr
			   : RelationGetIndexAttrBitmap(parent, INDEX_ATTR_BITMAP_PRIMARY_KEY);
}

void add_not_nulls(ddl::Recipe *recipe, Relation parent, Relation child)
{
	Bitmapset *key = columns_of_new_key(parent, child);
	for (int i = 0; i < RelationGetNumberOfAttributes(parent); i++) {
		const Form_pg_attribute column = TupleDescAttr(RelationGetDescr(parent), i);
		if (column->attisdropped || !constraint::is_not_null(parent, column->attnum))
			continue;
		char *name = pstrdup(NameStr(column->attname));
		AttrNumber number = get_attnum(RelationGetRelid(child), name);
		if (constraint::is_not_null(child, number))
			continue;
		if (!bms_is_member(column->attnum - FirstLowInvalidHeapAttributeNumber, key))
			constraint::add_not_null_steps(recipe, child, name, nullptr);
		recipe->plain = lappend(recipe->plain,
								psprintf("ALTER TABLE %s ALTER COLUMN %s SET NOT NULL",
										 quoted_name(RelationGetRelid(child)), identifier(name)));
	}
}

void add_constraint(ddl::Recipe *recipe, Relation child, const char *text)
{
	constraint::Definition definition = constraint::read_definition(child, text);
	if (definition.type == CONSTR_FOREIGN && child->rd_rel->relkind == RELKIND_RELATION) {
		constraint::add_not_valid_step(recipe, child, definition); // nothing of missing indexes
		constraint::add_validate_steps(recipe, child, definition);
	} else
		constraint::add_constraint_steps(recipe, child, definition);
}

void add_checks(ddl::Recipe *recipe, Relation parent, Relation child)
{
	Oid oid = RelationGetRelid(child);
	const TupleConstr *checks = RelationGetDescr(parent)->constr;
	for (int i = 0; checks && i < checks->num_check; i++) {
		const ConstrCheck &check = checks->check[i];
		Oid own = get_relation_constraint_oid(RelationGetRelid(parent), check.ccname, false);
		if (check.ccnoinherit || OidIsValid(get_relation_constraint_oid(oid, check.ccname, true)))
			continue; // one of that name that differs is for the server to refuse
		char *text =
			psprintf("CONSTRAINT %s %s", identifier(check.ccname), ddl::constraint_text(own));
		add_constraint(recipe, child, text);
		recipe->plain =
			lappend(recipe->plain, psprintf("ALTER TABLE %s ADD %s", quoted_name(oid), text));
	}
}

// ---------------------------------------------------------------- indexes

struct Wanted { // an index that the child is to have
	Oid index;	// of the parent
	Oid constraint;
	bool exclusion;
	IndexStmt *statement;
};

[[noreturn]] void refuse_exclusion(Relation child, Oid constraint)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("table \"%s\" has no counterpart of exclusion constraint \"%s\"",
						   RelationGetRelationName(child), get_constraint_name(constraint)),
					errdetail("It can't be built without blocking the table."),
					errhint("Create the table with the constraint, then fill it.")));
	pg_unreachable();
}

// Whether the child lacks a match of the parent's index.
bool find_missing(Relation parent, Relation child, Oid oid, Wanted *wanted)
{
	Relation index = relation_open(oid, AccessShareLock);
	bool missing = false;
	if (index->rd_rel->relkind == RELKIND_PARTITIONED_INDEX) {
		statement::IndexShape shape = statement::shape_of_index(parent, index);
		missing = !statement::has_matching_index(RelationGetRelid(child), shape, true);
		wanted->index = oid;
		wanted->constraint = get_index_constraint(oid);
		wanted->exclusion = index->rd_index->indisexclusion;
		wanted->statement = generateClonedIndexStmt(
			nullptr, index, pg::attribute_map(RelationGetDescr(child), RelationGetDescr(parent)),
			nullptr);
	}
	relation_close(index, NoLock);
	return missing;
}

void add_index(ddl::Recipe *recipe, Relation child, const Wanted &wanted, List **taken)
{
	if (wanted.exclusion)
		refuse_exclusion(child, wanted.constraint);
	if (OidIsValid(wanted.constraint)) {
		add_constraint(recipe, child, ddl::constraint_text(wanted.constraint));
		return;
	}
	wanted.statement->relation = makeRangeVar(get_namespace_name(RelationGetNamespace(child)),
											  pstrdup(RelationGetRelationName(child)), -1);
	index::Definition definition = index::make_definition(child, wanted.statement, "");
	char *name = index::choose_partition_name(child, definition, "idx", *taken);
	*taken = lappend(*taken, index::taken_name(RelationGetRelid(child), name));
	index::add_create_steps(recipe, definition, name, "idx");
}

void add_indexes(ddl::Recipe *recipe, Relation parent, Relation child)
{
	List *taken = NIL;
	ListCell *cell;
	foreach (cell, RelationGetIndexList(parent)) {
		Wanted wanted = {};
		if (find_missing(parent, child, lfirst_oid(cell), &wanted))
			add_index(recipe, child, wanted, &taken);
	}
}

// ---------------------------------------------------------------- foreign keys

struct Key { // a row of pg_constraint
	char *name;
	Oid relation;
	Oid parent;
	bool valid;
};

Key read_key(Oid constraint)
{
	Key key = {};
	HeapTuple tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	if (!HeapTupleIsValid(tuple))
		return key;
	auto form = reinterpret_cast<Form_pg_constraint>(GETSTRUCT(tuple));
	key = {pstrdup(NameStr(form->conname)), form->conrelid, form->conparentid, form->convalidated};
	ReleaseSysCache(tuple);
	return key;
}

void add_foreign_key(ddl::Recipe *recipe, Relation child, const Key &key, const char *text)
{
	Oid existing = constraint::find_equal_key(child, text);
	if (OidIsValid(existing)) {
		Key own = read_key(existing);
		if (!own.valid)
			constraint::add_validate_steps(recipe, child,
										   constraint::stored_definition(child, own.name));
		return;
	}
	bool taken = OidIsValid(get_relation_constraint_oid(RelationGetRelid(child), key.name, true));
	add_constraint(recipe, child,
				   taken ? text : psprintf("CONSTRAINT %s %s", identifier(key.name), text));
}

void add_foreign_keys(ddl::Recipe *recipe, Relation parent, Relation child)
{
	ListCell *cell;
	foreach (cell, RelationGetFKeyList(parent)) {
		const auto *info = static_cast<const ForeignKeyCacheInfo *>(lfirst(cell));
		Key key = read_key(info->conoid);
		// those of single partitions of the referenced table come with the whole one's
		if (OidIsValid(key.parent) && read_key(key.parent).relation == RelationGetRelid(parent))
			continue;
		add_foreign_key(recipe, child, key, ddl::constraint_text(info->conoid));
	}
}

} // namespace

void add_preparation_steps(ddl::Recipe *recipe, Relation parent, Relation child)
{
	check_columns(parent, child);
	add_not_nulls(recipe, parent, child);
	add_checks(recipe, parent, child);
	add_indexes(recipe, parent, child);
	add_foreign_keys(recipe, parent, child);
}

} // namespace safe_migrate::operations::partition
