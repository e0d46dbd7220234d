// See known_object.hpp.
#include "pg/known_object.hpp"

extern "C" {
#include "access/htup_details.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_ts_config.h"
#include "catalog/pg_ts_dict.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

namespace safe_migrate::pg {

void is_another(const char *description, bool exists)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_UNDEFINED_OBJECT),
		 errmsg("%s is no longer what it was when the job was queued", description),
		 exists
			 ? errdetail("The name stands for another object now, which the job is not to use.")
			 : errdetail("It was dropped; another object of that name is not used in its place."),
		 errhint("Run the call again that has queued it, to use what is there now.")));
	pg_unreachable();
}

void was_renamed(const char *description, const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("%s is no longer what it was when the job was queued", description),
			 errdetail("A constant in the job's texts, of a row or range that it is a part of, "
					   "calls it \"%s\".",
					   name),
			 errhint("Run the call again that has queued it, to use what is there now.")));
	pg_unreachable();
}

void is_not_held(const char *description)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_UNDEFINED_OBJECT),
		 errmsg("%s is not known to be what it was when the job was queued", description),
		 errdetail("The job was queued by an earlier version, which did not store what its texts "
				   "refer to, or they have come to refer to it only now."),
		 errhint("Run the call again that has queued it, to use what is there now.")));
	pg_unreachable();
}

void cannot_tell(const char *description, const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("%s is no longer what it was when the job was queued", description),
			 errdetail("What is called \"%s\" in the job's texts are several things, which do not "
					   "have one name any more.",
					   name),
			 errhint("Run the call again that has queued it, to use what is there now.")));
	pg_unreachable();
}

char *describe_object(Oid class_id, Oid oid, int column)
{
	ObjectAddress address = {class_id, oid, column};
	return getObjectDescription(&address, true);
}

namespace {

// Where a class of objects has its names.
struct Names {
	Oid class_id;
	SysCacheIdentifier cache;
	AttrNumber schema, name;
};
constexpr Names all_names[] = {
	{RelationRelationId, RELOID, Anum_pg_class_relnamespace, Anum_pg_class_relname},
	{TypeRelationId, TYPEOID, Anum_pg_type_typnamespace, Anum_pg_type_typname},
	{ProcedureRelationId, PROCOID, Anum_pg_proc_pronamespace, Anum_pg_proc_proname},
	{OperatorRelationId, OPEROID, Anum_pg_operator_oprnamespace, Anum_pg_operator_oprname},
	{CollationRelationId, COLLOID, Anum_pg_collation_collnamespace, Anum_pg_collation_collname},
	{TSConfigRelationId, TSCONFIGOID, Anum_pg_ts_config_cfgnamespace, Anum_pg_ts_config_cfgname},
	{TSDictionaryRelationId, TSDICTOID, Anum_pg_ts_dict_dictnamespace, Anum_pg_ts_dict_dictname},
};

// Of roles, schemas and labels of enums, which are in no schema.
bool find_bare_name(Oid class_id, Oid oid, const char **name)
{
	*name = nullptr;
	if (class_id == AuthIdRelationId)
		*name = GetUserNameFromId(oid, true);
	else if (class_id == NamespaceRelationId)
		*name = get_namespace_name(oid);
	else if (class_id == EnumRelationId) {
		HeapTuple tuple = SearchSysCache1(ENUMOID, ObjectIdGetDatum(oid));
		if (HeapTupleIsValid(tuple)) {
			*name = pstrdup(NameStr(reinterpret_cast<Form_pg_enum>(GETSTRUCT(tuple))->enumlabel));
			ReleaseSysCache(tuple);
		}
	}
	return *name != nullptr;
}

} // namespace

bool find_names(Oid class_id, Oid oid, const char **schema, const char **name)
{
	for (const Names &names : all_names) {
		if (names.class_id != class_id)
			continue;
		HeapTuple tuple = SearchSysCache1(names.cache, ObjectIdGetDatum(oid));
		if (!HeapTupleIsValid(tuple))
			return false;
		bool is_null;
		Datum value = SysCacheGetAttr(names.cache, tuple, names.schema, &is_null);
		*schema = get_namespace_name(DatumGetObjectId(value));
		value = SysCacheGetAttr(names.cache, tuple, names.name, &is_null);
		*name = pstrdup(NameStr(*DatumGetName(value)));
		ReleaseSysCache(tuple);
		return *schema != nullptr;
	}
	*schema = "";
	return find_bare_name(class_id, oid, name);
}

int count_columns(Oid relation)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	if (!HeapTupleIsValid(tuple))
		return 0;
	int n = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relnatts;
	ReleaseSysCache(tuple);
	return n;
}

const char **names_of_columns(Oid relation, int *n)
{
	*n = count_columns(relation);
	auto **names = static_cast<const char **>(palloc0(sizeof(char *) * Max(*n, 1)));
	for (int i = 0; i < *n; i++) {
		HeapTuple tuple = SearchSysCacheAttNum(relation, static_cast<int16>(i + 1));
		if (!HeapTupleIsValid(tuple))
			continue; // dropped
		names[i] = pstrdup(NameStr(reinterpret_cast<Form_pg_attribute>(GETSTRUCT(tuple))->attname));
		ReleaseSysCache(tuple);
	}
	return names;
}

Oid relation_of_type(Oid type) { return get_typ_typrelid(getBaseType(type)); }

const char *find_field(Oid type, int field)
{
	Oid relation = relation_of_type(type);
	if (!OidIsValid(relation))
		return nullptr;
	HeapTuple tuple = SearchSysCacheAttNum(relation, static_cast<int16>(field));
	if (!HeapTupleIsValid(tuple))
		return nullptr;
	const char *name =
		pstrdup(NameStr(reinterpret_cast<Form_pg_attribute>(GETSTRUCT(tuple))->attname));
	ReleaseSysCache(tuple);
	return name;
}

const Known *find_known(const List *known, Oid class_id, Oid oid, int field)
{
	ListCell *cell;
	foreach (cell, known) {
		auto *one = static_cast<const Known *>(lfirst(cell));
		if (one->class_id == class_id && one->oid == oid && one->field == field)
			return one;
	}
	return nullptr;
}

bool split_name(const List *names, const char **schema, const char **name)
{
	if (list_length(names) < 2)
		return false;
	*schema = strVal(list_nth(names, list_length(names) - 2));
	*name = strVal(llast(names));
	return strcmp(*schema, "pg_catalog") != 0;
}

} // namespace safe_migrate::pg
