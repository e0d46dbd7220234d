// See surroundings.hpp.
#include "statement/surroundings.hpp"

#include "pg/compat_analysis.hpp"
#include "statement/relations.hpp"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_index.h"
#include "catalog/pg_publication.h"
#include "catalog/pg_publication_rel.h"
#include "catalog/index.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

namespace safe_migrate::statement {

namespace {

bool is_valid_index(Oid index)
{
	HeapTuple tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
	if (!HeapTupleIsValid(tuple))
		return true;
	auto *form = reinterpret_cast<Form_pg_index>(GETSTRUCT(tuple));
	bool valid = form->indisvalid && form->indisready;
	ReleaseSysCache(tuple);
	return valid;
}

// DefineIndex() looks for the name in the schema of the table.
void look_for_invalid_index(Analysis *analysis, const IndexStmt *statement)
{
	if (!statement->if_not_exists || statement->idxname == nullptr)
		return;
	Target target = find_target(analysis, statement->relation, true);
	if (!OidIsValid(target.relation))
		return;
	Oid index = get_relname_relid(statement->idxname, get_rel_namespace(target.relation));
	if (!OidIsValid(index) || get_rel_relkind(index) != RELKIND_INDEX || is_valid_index(index))
		return;
	Finding *finding = add_finding(analysis, Cause::invalid_index_skipped, Effect::metadata,
								   target.relation, Lock::none);
	finding->is_target = true;
	finding->object = pstrdup(statement->idxname);
	finding->facts = psprintf("index %s is invalid", quote_identifier(statement->idxname));
}

bool has_column_list(Oid relation, Oid publication)
{
	HeapTuple tuple = SearchSysCache2(PUBLICATIONRELMAP, ObjectIdGetDatum(relation),
									  ObjectIdGetDatum(publication));
	if (!HeapTupleIsValid(tuple))
		return false;
	bool is_null = true;
	(void)SysCacheGetAttr(PUBLICATIONRELMAP, tuple, Anum_pg_publication_rel_prattrs, &is_null);
	ReleaseSysCache(tuple);
	return !is_null;
}

// As check_publication_add_relation() and RelationBuildPublicationDesc() go about it.
const char *publication_of(Oid relation)
{
	ListCell *cell;
	foreach (cell, pg::publications_naming(relation)) {
		if (!has_column_list(relation, lfirst_oid(cell)))
			return get_publication_name(lfirst_oid(cell), true);
	}
	List *all = list_concat(GetSchemaPublications(get_rel_namespace(relation)),
							pg::publications_of_all(relation));
	foreach (cell, all) {
		if (const char *name = get_publication_name(lfirst_oid(cell), true))
			return name;
	}
	return nullptr;
}

void look_for_publication(Analysis *analysis, const AlterTableStmt *statement)
{
	const ColumnDef *added = nullptr;
	ListCell *cell;
	foreach (cell, statement->cmds) {
		auto *command = lfirst_node(AlterTableCmd, cell);
		if (command->subtype == AT_AddColumn)
			added = castNode(ColumnDef, command->def);
	}
	if (added == nullptr)
		return;
	Target target = find_target(analysis, statement->relation, true);
	if (!OidIsValid(target.relation) || get_rel_relkind(target.relation) == RELKIND_FOREIGN_TABLE)
		return;
	const char *publication = publication_of(target.relation);
	if (publication == nullptr || get_attnum(target.relation, added->colname) != InvalidAttrNumber)
		return;
	Finding *finding = add_finding(analysis, Cause::published_table, Effect::metadata,
								   target.relation, Lock::none);
	finding->is_target = true;
	finding->column = pstrdup(added->colname);
	finding->facts = psprintf("publication %s has it", quote_identifier(publication));
}

} // namespace

void analyse_surroundings(Analysis *analysis, const Node *statement)
{
	if (IsA(statement, IndexStmt))
		look_for_invalid_index(analysis, reinterpret_cast<const IndexStmt *>(statement));
	else if (IsA(statement, AlterTableStmt) &&
			 reinterpret_cast<const AlterTableStmt *>(statement)->objtype == OBJECT_TABLE)
		look_for_publication(analysis, reinterpret_cast<const AlterTableStmt *>(statement));
}

} // namespace safe_migrate::statement
