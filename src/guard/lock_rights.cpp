// See lock_rights.hpp.
#include "guard/lock_rights.hpp"

#include "pg/compat.hpp"
#include "pg/compat_locks.hpp"
#include "statement/dependents.hpp"
#include "statement/relations.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_am.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_cast.h"
#include "catalog/pg_class.h"
#include "catalog/pg_largeobject.h"
#include "catalog/pg_largeobject_metadata.h"
#include "catalog/pg_ts_parser.h"
#include "catalog/pg_ts_template.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
}

namespace safe_migrate::guard {

namespace {

using statement::Cause;
using statement::Effects;
using statement::Finding;
using statement::Object;
using statement::Right;

bool starts_with(const char *command, const char *word)
{
	return strncmp(command, word, strlen(word)) == 0;
}

// ---------------------------------------------------------------- relations

bool exists(Oid relation) { return SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relation)); }

bool has_privilege(Oid relation, AclMode mode, Oid role)
{
	return pg_class_aclcheck(relation, role, mode) == ACLCHECK_OK;
}

// checkFkeyPermissions(), whichever columns.
bool may_reference(Oid relation)
{
	return pg::owns_relation(relation) || has_privilege(relation, ACL_REFERENCES, GetUserId()) ||
		   pg_attribute_aclcheck_all(relation, GetUserId(), ACL_REFERENCES, ACLMASK_ANY) ==
			   ACLCHECK_OK;
}

// LockTableAclCheck(), of strong locks.
bool may_lock_table(Oid relation, Oid role)
{
	return has_privilege(relation, ACL_UPDATE | ACL_DELETE | ACL_TRUNCATE, role) ||
		   pg::has_maintain_privilege(relation, role);
}

// As the statement itself checks before it locks (RangeVarCallbackOwnsRelation and its kin); wider
// where it depends on more than the command.
bool may_lock(const char *command, Oid relation)
{
	if (!exists(relation) || pg::owns_relation(relation) ||
		pg::has_maintain_privilege(relation, GetUserId()))
		return true;
	if (starts_with(command, "DROP") && pg::owns_schema(get_rel_namespace(relation)))
		return true;
	if (starts_with(command, "TRUNCATE"))
		return has_privilege(relation, ACL_TRUNCATE, GetUserId());
	if (starts_with(command, "LOCK"))
		return may_lock_table(relation, GetUserId());
	if (strcmp(command, "CREATE TRIGGER") == 0)
		return has_privilege(relation, ACL_TRIGGER, GetUserId());
	if (strcmp(command, "REINDEX") == 0)
		return pg::owns_database(MyDatabaseId);
	return false;
}

// ---------------------------------------------------------------- other objects

// use(its row, its catalog); true where it is gone.
template <class F> bool of_row(Oid class_id, Oid object, F use)
{
	Relation catalog = table_open(class_id, AccessShareLock);
	HeapTuple row = get_catalog_object_by_oid(catalog, get_object_attnum_oid(class_id), object);
	const bool result = !HeapTupleIsValid(row) || use(row, RelationGetDescr(catalog));
	table_close(catalog, AccessShareLock);
	return result;
}

// object_ownercheck(), which has no form for all classes before 16; also of what is gone.
bool owns_by_row(Oid class_id, Oid object)
{
	if (class_id == LargeObjectRelationId)
		class_id = LargeObjectMetadataRelationId;
	if (!is_objectclass_supported(class_id) ||
		get_object_attnum_owner(class_id) == InvalidAttrNumber)
		return true; // nobody's
	return of_row(class_id, object, [class_id](HeapTuple row, TupleDesc desc) {
		bool is_null = false;
		const Datum owner = heap_getattr(row, get_object_attnum_owner(class_id), desc, &is_null);
		return has_privs_of_role(GetUserId(), DatumGetObjectId(owner));
	});
}

// check_object_ownership()
bool owns(Oid class_id, Oid object)
{
	switch (class_id) {
		case AccessMethodRelationId:
		case TSParserRelationId:
		case TSTemplateRelationId:
			return superuser();
		case CastRelationId:
			return of_row(class_id, object, [](HeapTuple row, TupleDesc) {
				auto *cast = reinterpret_cast<Form_pg_cast>(GETSTRUCT(row));
				return owns_by_row(TypeRelationId, cast->castsource) ||
					   owns_by_row(TypeRelationId, cast->casttarget);
			});
		default:
			break;
	}
	const Oid table = statement::relation_of_part(class_id, object);
	if (OidIsValid(table))
		return !exists(table) || pg::owns_relation(table);
	return owns_by_row(class_id, object);
}

// RemoveObjects()
bool owns_schema_of(Oid class_id, Oid object)
{
	if (!is_objectclass_supported(class_id) ||
		get_object_attnum_namespace(class_id) == InvalidAttrNumber)
		return false;
	return of_row(class_id, object, [class_id](HeapTuple row, TupleDesc desc) {
		bool is_null = false;
		return pg::owns_schema(DatumGetObjectId(
			heap_getattr(row, get_object_attnum_namespace(class_id), desc, &is_null)));
	});
}

bool has_right(const char *command, const Object &object)
{
	const Oid role = OidIsValid(object.role) ? object.role : GetUserId();
	switch (object.right) {
		case Right::none:
			return true;
		case Right::own:
			return owns(object.class_id, object.object) ||
				   (starts_with(command, "DROP") && owns_schema_of(object.class_id, object.object));
		case Right::reference:
			return !exists(object.object) || may_reference(object.object);
		case Right::lock:
			return !exists(object.object) || may_lock_table(object.object, role);
		case Right::member:
			return has_privs_of_role(role, object.object);
	}
	return true;
}

// ---------------------------------------------------------------- refused

bool is_one_of(const char *command, std::initializer_list<const char *> commands)
{
	for (const char *one : commands)
		if (strcmp(command, one) == 0)
			return true;
	return false;
}

// Does the server lock the relation before it asks whose it is?
bool locks_first(const char *command)
{
	return is_one_of(command,
					 {"CREATE TRIGGER", "CREATE RULE", "CREATE TABLE", "CREATE FOREIGN TABLE",
					  "CREATE SCHEMA", "DROP TRIGGER", "DROP RULE", "DROP POLICY"});
}

// In the server's words, before anybody waits.
void refuse(const char *command, Oid relation, bool is_reference)
{
	const char *name = get_rel_name(relation);
	const char kind = get_rel_relkind(relation);
	if (name == nullptr)
		return;
	const bool wants_privilege =
		is_reference || is_one_of(command, {"CREATE TRIGGER", "TRUNCATE TABLE", "LOCK TABLE"});
	const bool of_part = is_one_of(command, {"DROP TRIGGER", "DROP RULE", "DROP POLICY"});
	aclcheck_error(wants_privilege ? ACLCHECK_NO_PRIV : ACLCHECK_NOT_OWNER,
				   of_part ? OBJECT_TRIGGER : get_relkind_objtype(kind), name);
}

} // namespace

// Who may alter a table gets locks on its partitions and on what depends on it without further
// questions.
bool may_take_locks(const Effects *effects)
{
	const char *command = effects->command != nullptr ? effects->command : "";
	for (int i = 0; i < effects->n; i++) {
		const Finding &finding = effects->findings[i];
		const bool is_asked = finding.is_target || finding.cause == Cause::truncate;
		if (!OidIsValid(finding.relation) || !is_asked || may_lock(command, finding.relation))
			continue;
		if (locks_first(command) || (i > 0 && finding.cause != Cause::drop_cascade))
			refuse(command, finding.relation, false);
		return false;
	}
	for (int i = 0; i < effects->n_objects; i++) {
		const Object &object = effects->objects[i];
		if (has_right(command, object))
			continue;
		if (object.right == Right::reference)
			refuse(command, object.object, true);
		return false;
	}
	return true;
}

bool may_wait_for(const Effects *effects, Oid relation)
{
	const char *command = effects->command != nullptr ? effects->command : "";
	if (!may_take_locks(effects))
		return false;
	if (starts_with(command, "LOCK") || may_lock(command, relation))
		return true; // what a view reads is its owner's to lock
	ListCell *cell;
	foreach (cell, statement::ancestors(relation)) {
		if (may_lock(command, lfirst_oid(cell)))
			return true;
	}
	refuse(command, relation, false);
	return false;
}

} // namespace safe_migrate::guard
