// ALTER DOMAIN and ALTER TYPE of an enum.  Follows commands/typecmds.c.
#include "statement/dependents.hpp"
#include "statement/relations.hpp"
#include "statement/rename.hpp"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "parser/parse_type.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

namespace safe_migrate::statement {

namespace {

struct Scan {
	Analysis *analysis;
	Cause cause;
	const char *object;
	const char *definition;
};

void add_scan(const Scan &scan, Oid table, AttrNumber column)
{
	for (int i = 0; i < scan.analysis->effects->n; i++) {
		if (scan.analysis->effects->findings[i].relation == table)
			return; // another column of it
	}
	Finding *finding = add_finding(scan.analysis, scan.cause, Effect::scan, table, Lock::share);
	finding->bytes = own_heap_bytes(table);
	finding->column = get_attname(table, column, true);
	finding->object = scan.object;
	finding->definition = scan.definition;
}

// get_rels_with_domain(): tables and materialized views with columns of the domain, or of a domain
// over it.  Where it is inside an array or a row that is stored, the server refuses the statement.
void add_scans(const Scan &scan, Oid domain)
{
	check_stack_depth();
	Relation catalog = table_open(DependRelationId, AccessShareLock);
	ScanKeyData key[2];
	ScanKeyInit(&key[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(TypeRelationId));
	ScanKeyInit(&key[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(domain));
	SysScanDesc rows = systable_beginscan(catalog, DependReferenceIndexId, true, nullptr, 2, key);
	HeapTuple tuple;
	while (HeapTupleIsValid(tuple = systable_getnext(rows))) {
		auto *row = reinterpret_cast<Form_pg_depend>(GETSTRUCT(tuple));
		if (row->classid == TypeRelationId) {
			if (get_typtype(row->objid) == TYPTYPE_DOMAIN)
				add_scans(scan, row->objid);
			continue;
		}
		if (row->classid != RelationRelationId || row->objsubid <= 0)
			continue;
		char kind = get_rel_relkind(row->objid);
		auto column = static_cast<AttrNumber>(row->objsubid);
		if ((kind == RELKIND_RELATION || kind == RELKIND_MATVIEW) &&
			get_atttype(row->objid, column) == domain)
			add_scan(scan, row->objid, column);
	}
	systable_endscan(rows);
	table_close(catalog, AccessShareLock);
}

bool is_not_null(Oid type)
{
	HeapTuple tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	if (!HeapTupleIsValid(tuple))
		return false;
	bool not_null = reinterpret_cast<Form_pg_type>(GETSTRUCT(tuple))->typnotnull;
	ReleaseSysCache(tuple);
	return not_null;
}

} // namespace

void analyse_domain(Analysis *analysis, const AlterDomainStmt *statement)
{
	Oid domain = typenameTypeId(nullptr, makeTypeNameFromNameList(statement->typeName));
	Scan scan = {analysis, Cause::domain_constraint, statement->name, analysis->effects->text};
	switch (statement->subtype) {
		case 'O': // SET NOT NULL
			if (!is_not_null(domain))
				add_scans(scan, domain);
			return;
		case 'C': { // ADD CONSTRAINT
			auto *constraint = castNode(Constraint, statement->def);
			scan.object = constraint->conname;
			if (constraint->skip_validation ||
				(constraint->contype == CONSTR_NOTNULL && is_not_null(domain)))
				return;
			return add_scans(scan, domain);
		}
		case 'V': // VALIDATE CONSTRAINT
			scan.cause = Cause::domain_validate;
			return add_scans(scan, domain);
		default:
			return; // defaults and what is dropped: only new values feel it
	}
}

void analyse_enum(Analysis *analysis, const AlterEnumStmt *statement)
{
	if (statement->oldVal == nullptr)
		return; // ADD VALUE
	Oid type = typenameTypeId(nullptr, makeTypeNameFromNameList(statement->typeName));
	ObjectAddress object = {TypeRelationId, type, 0};
	Finding *finding =
		add_object(analysis, Cause::enum_rename_value, Effect::client_break, &object);
	finding->is_target = true;
	finding->column = statement->oldVal;
	finding->definition = statement->newVal;
}

} // namespace safe_migrate::statement
