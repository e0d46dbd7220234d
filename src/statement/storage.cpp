// SET LOGGED, UNLOGGED, ACCESS METHOD, TABLESPACE: work only where it changes something.
#include "statement/alter_table.hpp"

#include "pg/catalog_scan.hpp"
#include "pg/compat_alter.hpp"
#include "statement/dependents.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/catalog.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_tablespace.h"
#include "commands/defrem.h"
#include "commands/tablespace.h"
#include "utils/acl.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

namespace safe_migrate::statement {

namespace {

FormData_pg_class read_class(Oid relation)
{
	FormData_pg_class form = {};
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	if (HeapTupleIsValid(tuple)) {
		memcpy(&form, GETSTRUCT(tuple), offsetof(FormData_pg_class, relminmxid));
		ReleaseSysCache(tuple);
	}
	return form;
}

// CheckRelationTableSpaceMove(): the database's own is written as 0.
bool moves(Oid from, Oid to)
{
	return from != to && !(to == MyDatabaseTableSpace && from == InvalidOid);
}

void report_owned_sequences(AlterTable *alter)
{
	ListCell *cell;
	foreach (cell, getOwnedSequences(alter->relation))
		add_lock(alter->analysis, lfirst_oid(cell), Lock::access_exclusive);
}

void report_copy(AlterTable *alter, Cause cause, Effect effect, const char *facts)
{
	Part part = {nullptr, nullptr, nullptr, facts};
	report(alter, cause, effect, list_make1_oid(alter->relation), part);
}

// ATExecSetTableSpace(): the files of heap and TOAST are copied, its indexes stay where they are.
void analyse_move(AlterTable *alter, const FormData_pg_class &form, const char *tablespace)
{
	if (!moves(form.reltablespace, get_tablespace_oid(tablespace, false)) ||
		!RELKIND_HAS_STORAGE(form.relkind))
		return;
	report_copy(alter, Cause::set_tablespace, Effect::rewrite, nullptr);
	Effects *effects = alter->analysis->effects;
	Finding *finding = &effects->findings[effects->n - 1];
	finding->bytes = own_heap_bytes(alter->relation);
	finding->indexes = 0;
	finding->object = tablespace;
}

} // namespace

void analyse_storage(AlterTable *alter, const AlterTableCmd *command)
{
	FormData_pg_class form = read_class(alter->relation);
	switch (command->subtype) {
		case AT_SetLogged:
		case AT_SetUnLogged: {
			char wanted = command->subtype == AT_SetLogged ? RELPERSISTENCE_PERMANENT
														   : RELPERSISTENCE_UNLOGGED;
			if (form.relpersistence == wanted || form.relkind == RELKIND_SEQUENCE)
				return;
			report_copy(alter, Cause::set_logged, Effect::rewrite, nullptr);
			report_owned_sequences(alter);
			return;
		}
		case AT_SetAccessMethod: {
			if (form.relkind != RELKIND_RELATION && form.relkind != RELKIND_MATVIEW)
				return;
			const char *name =
				command->name != nullptr ? command->name : default_table_access_method;
			if (get_table_am_oid(name, false) != form.relam)
				report_copy(alter, Cause::set_access_method, Effect::rewrite, nullptr);
			return;
		}
		default:
			analyse_move(alter, form, command->name);
	}
}

namespace {

bool is_moved_kind(char kind, ObjectType type)
{
	switch (type) {
		case OBJECT_TABLE:
			return kind == RELKIND_RELATION || kind == RELKIND_PARTITIONED_TABLE;
		case OBJECT_INDEX:
			return kind == RELKIND_INDEX || kind == RELKIND_PARTITIONED_INDEX;
		default:
			return kind == RELKIND_MATVIEW;
	}
}

bool is_owned_by(Oid owner, const List *roles)
{
	if (roles == NIL)
		return true;
	ListCell *cell;
	foreach (cell, roles) {
		if (get_rolespec_oid(lfirst_node(RoleSpec, cell), false) == owner)
			return true;
	}
	return false;
}

void add_moved(Analysis *analysis, Oid relation, const char *tablespace)
{
	char kind = get_rel_relkind(relation);
	bool has_storage = RELKIND_HAS_STORAGE(kind);
	Finding *finding = add_finding(analysis, has_storage ? Cause::set_tablespace : Cause::lock,
								   has_storage ? Effect::rewrite : Effect::metadata, relation,
								   Lock::access_exclusive);
	finding->is_target = true;
	finding->object = tablespace;
	if (has_storage)
		finding->bytes = own_heap_bytes(relation);
}

} // namespace

// AlterTableMoveAll()
void analyse_move_all(Analysis *analysis, const AlterTableMoveAllStmt *statement)
{
	Oid from = get_tablespace_oid(statement->orig_tablespacename, false);
	Oid to = get_tablespace_oid(statement->new_tablespacename, false);
	if (from == MyDatabaseTableSpace)
		from = InvalidOid;
	if (to == MyDatabaseTableSpace)
		to = InvalidOid;
	if (from == to)
		return;
	analysis->effects->nowait = statement->nowait;
	List *moved = NIL;
	pg::for_each_row_with<FormData_pg_class>(
		RelationRelationId, Anum_pg_class_reltablespace, from, [&](const FormData_pg_class &row) {
			if (is_moved_kind(row.relkind, statement->objtype) && !row.relisshared &&
				!IsCatalogNamespace(row.relnamespace) && !isAnyTempNamespace(row.relnamespace) &&
				!IsToastNamespace(row.relnamespace) && is_owned_by(row.relowner, statement->roles))
				moved = lappend_oid(moved, row.oid);
		});
	list_sort(moved, list_oid_cmp); // AlterTableMoveAll() takes them as the scan finds them
	ListCell *cell;
	foreach (cell, moved)
		add_moved(analysis, lfirst_oid(cell), statement->new_tablespacename);
}

} // namespace safe_migrate::statement
