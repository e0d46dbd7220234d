// See relations.hpp.
#include "statement/relations.hpp"

#include "pg/session_relations.hpp"

extern "C" {
#include "access/relation.h"
#include "catalog/catalog.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "utils/lsyscache.h"
}

namespace safe_migrate::statement {

Target find_target(Analysis *analysis, const RangeVar *name, bool missing_ok)
{
	Target target = {};
	target.relation =
		RangeVarGetRelidExtended(name, NoLock, missing_ok ? RVR_MISSING_OK : 0, nullptr, nullptr);
	if (OidIsValid(target.relation)) {
		target.schema = get_namespace_name(get_rel_namespace(target.relation));
		target.name = get_rel_name(target.relation);
	} else {
		target.schema = name->schemaname;
		target.name = name->relname;
	}
	return target;
}

Relation open_judged(Oid relation) { return try_relation_open(relation, AccessShareLock); }

void close_judged(Relation relation) { relation_close(relation, AccessShareLock); }

List *with_descendants(Oid relation)
{
	char kind = get_rel_relkind(relation);
	if (!get_rel_relispartition(relation) && kind != RELKIND_RELATION &&
		kind != RELKIND_PARTITIONED_TABLE && kind != RELKIND_FOREIGN_TABLE &&
		kind != RELKIND_PARTITIONED_INDEX)
		return list_make1_oid(relation);
	return find_all_inheritors(relation, NoLock, nullptr);
}

List *leaves(Oid relation)
{
	List *result = NIL;
	ListCell *cell;
	foreach (cell, with_descendants(relation)) {
		if (RELKIND_HAS_STORAGE(get_rel_relkind(lfirst_oid(cell))))
			result = lappend_oid(result, lfirst_oid(cell));
	}
	return result;
}

Exempt exemption(Oid relation)
{
	if (get_rel_persistence(relation) == RELPERSISTENCE_TEMP)
		return Exempt::temporary;
	if (IsCatalogRelationOid(relation) || IsToastNamespace(get_rel_namespace(relation)))
		return Exempt::system;
	if (pg::is_session_relation(relation))
		return Exempt::created_here;
	return Exempt::no;
}

} // namespace safe_migrate::statement
