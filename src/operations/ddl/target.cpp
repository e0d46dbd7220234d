// See target.hpp.
#include "operations/ddl/target.hpp"

#include "pg/compat_analysis.hpp"
#include "pg/sql.hpp"

extern "C" {
#include "access/relation.h"
#include "catalog/catalog.h"
#include "catalog/dependency.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_constraint.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
}

namespace safe_migrate::operations::ddl {

void check_owner(Relation relation)
{
	const char *name = RelationGetRelationName(relation);
	if (IsSystemRelation(relation))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("permission denied: \"%s\" is a system catalog", name)));
	if (getExtensionOfObject(RelationRelationId, RelationGetRelid(relation)) == pg::extension_oid())
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("\"%s\" belongs to safe_migrate itself", name)));
	if (!pg::owns_relation(RelationGetRelid(relation), GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(relation->rd_rel->relkind), name);
}

void check_may_create_beside(Oid table)
{
	Oid schema = get_rel_namespace(table);
	if (!pg::has_schema_right(schema, GetUserId(), ACL_CREATE))
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_SCHEMA, get_namespace_name(schema));
}

namespace {

Relation open(Oid oid)
{
	Relation relation = try_relation_open(oid, AccessShareLock);
	if (!relation)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("relation with OID %u does not exist", oid)));
	return relation;
}

} // namespace

Relation open_owned_table(Oid oid)
{
	Relation relation = open(oid);
	char kind = relation->rd_rel->relkind;
	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s\" is not a table", RelationGetRelationName(relation))));
	check_owner(relation);
	return relation;
}

Relation open_owned_indexable(Oid oid)
{
	if (get_rel_relkind(oid) != RELKIND_MATVIEW)
		return open_owned_table(oid);
	Relation relation = open(oid);
	check_owner(relation);
	return relation;
}

Relation open_owned_index(Oid oid)
{
	Relation relation = open(oid);
	char kind = relation->rd_rel->relkind;
	if (kind != RELKIND_INDEX && kind != RELKIND_PARTITIONED_INDEX)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s\" is not an index", RelationGetRelationName(relation))));
	check_owner(relation);
	return relation;
}

Oid find_constraint(Relation relation, const char *name)
{
	Oid oid = get_relation_constraint_oid(RelationGetRelid(relation), name, true);
	if (!OidIsValid(oid))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("constraint \"%s\" of relation \"%s\" does not exist", name,
							   RelationGetRelationName(relation))));
	return oid;
}

} // namespace safe_migrate::operations::ddl
