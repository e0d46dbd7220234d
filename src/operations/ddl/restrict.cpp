// See restrict.hpp.
#include "operations/ddl/restrict.hpp"

#include "operations/ddl/sql.hpp"
#include "statement/dependents.hpp"

extern "C" {
#include "access/htup_details.h"
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

namespace safe_migrate::operations::ddl {

using statement::Dependent;
using statement::Dependents;

namespace {

// The call that drops a constraint first; nullptr for any other object.
char *constraint_call(const ObjectAddress &object)
{
	if (object.classId != ConstraintRelationId)
		return nullptr;
	HeapTuple tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(object.objectId));
	if (!HeapTupleIsValid(tuple))
		return nullptr;
	auto form = reinterpret_cast<Form_pg_constraint>(GETSTRUCT(tuple));
	char *call =
		OidIsValid(form->conrelid)
			? psprintf("SELECT safe_migrate.drop_constraint_safely(%s, %s);",
					   literal(quoted_name(form->conrelid)), literal(NameStr(form->conname)))
			: nullptr;
	ReleaseSysCache(tuple);
	return call;
}

void append_line(StringInfo text, const char *line)
{
	if (text->len > 0)
		appendStringInfoChar(text, '\n');
	appendStringInfoString(text, line);
}

// A column's NOT NULL is an object of its own from 18 on; it belongs to the column all the same.
bool is_not_null_constraint(Oid constraint)
{
	constexpr char not_null = 'n'; // CONSTRAINT_NOTNULL
	HeapTuple tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	if (!HeapTupleIsValid(tuple))
		return false;
	bool result = reinterpret_cast<Form_pg_constraint>(GETSTRUCT(tuple))->contype == not_null;
	ReleaseSysCache(tuple);
	return result;
}

// Row types, TOAST, triggers of foreign keys, columns: nobody thinks of them by themselves.
bool is_hidden(const ObjectAddress &object)
{
	if (object.classId == TypeRelationId || object.classId == RewriteRelationId)
		return true;
	if (object.classId == TriggerRelationId) {
		char *description = getObjectDescription(&object, true);
		return !description || strstr(description, "RI_ConstraintTrigger") != nullptr;
	}
	if (object.classId == ConstraintRelationId)
		return is_not_null_constraint(object.objectId);
	if (object.classId != RelationRelationId)
		return false;
	char kind = get_rel_relkind(object.objectId);
	return kind == '\0' || kind == RELKIND_TOASTVALUE ||
		   (kind == RELKIND_INDEX && get_rel_namespace(object.objectId) == PG_TOAST_NAMESPACE);
}

} // namespace

void refuse_dependents(const ObjectAddress &object)
{
	Dependents dependents = statement::find_dependents(&object, 1);
	StringInfoData names, calls;
	initStringInfo(&names);
	initStringInfo(&calls);
	for (int i = dependents.n - 1; i >= 0; i--) {
		const Dependent &dependent = dependents.items[i];
		if (dependent.original || dependent.automatic || dependent.by_wish)
			continue;
		char *description = getObjectDescription(&dependent.object, true);
		if (description)
			append_line(&names, psprintf("%s depends on it", description));
		if (char *call = constraint_call(dependent.object))
			append_line(&calls, call);
	}
	if (names.len == 0)
		return;
	ereport(ERROR, (errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
					errmsg("cannot drop %s because other objects depend on it",
						   getObjectDescription(&object, false)),
					errdetail("%s", names.data),
					calls.len > 0 ? errhint("First:\n%s", calls.data)
								  : errhint("Drop or change these first.")));
}

namespace {

constexpr int most_shown = 20;

// Their descriptions, the separator between them; an empty text where there are none.
char *describe_dependents(const ObjectAddress &object, const char *separator)
{
	Dependents dependents = statement::find_dependents(&object, 1);
	StringInfoData names;
	initStringInfo(&names);
	int n = 0;
	for (int i = dependents.n - 1; i >= 0; i--) {
		const Dependent &dependent = dependents.items[i];
		if (dependent.original || is_hidden(dependent.object))
			continue;
		char *description = getObjectDescription(&dependent.object, true);
		if (description && n++ < most_shown)
			appendStringInfo(&names, "%s%s", names.len > 0 ? separator : "", description);
	}
	if (n > most_shown)
		appendStringInfo(&names, "%sand %d more", separator, n - most_shown);
	return names.data;
}

} // namespace

void note_dependents(const ObjectAddress &object)
{
	char *names = describe_dependents(object, "\n");
	if (names[0] != '\0')
		ereport(NOTICE,
				(errmsg("what depends on %s goes along", getObjectDescription(&object, false)),
				 errdetail("%s", names)));
}

char *with_dependents(const char *sql, const ObjectAddress &object)
{
	char *names = describe_dependents(object, ", ");
	return names[0] != '\0' ? psprintf("%s, with %s", sql, names) : pstrdup(sql);
}

} // namespace safe_migrate::operations::ddl
