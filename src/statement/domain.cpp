// ALTER DOMAIN and ALTER TYPE of an enum.  Follows commands/typecmds.c.
#include "pg/compat_alter.hpp"
#include "statement/constraint_rows.hpp"
#include "statement/dependents.hpp"
#include "statement/relations.hpp"
#include "statement/rename.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
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
	if (first_finding(scan.analysis->effects, table) != nullptr)
		return; // another column of it
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
	ListCell *cell;
	foreach (cell, dependents_of(TypeRelationId, domain, 0)) {
		const auto *user = static_cast<const DependsOn *>(lfirst(cell));
		if (user->class_id == TypeRelationId) {
			if (get_typtype(user->object) == TYPTYPE_DOMAIN)
				add_scans(scan, user->object);
			continue;
		}
		if (user->class_id != RelationRelationId || user->sub_id <= 0)
			continue;
		char kind = get_rel_relkind(user->object);
		auto column = static_cast<AttrNumber>(user->sub_id);
		if ((kind == RELKIND_RELATION || kind == RELKIND_MATVIEW ||
			 has_rows_elsewhere(user->object)) &&
			get_atttype(user->object, column) == domain)
			add_scan(scan, user->object, column);
	}
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

bool is_valid(Oid domain, const char *name)
{
	const ConstraintRow *row = read_constraint(get_domain_constraint_oid(domain, name, true));
	return row != nullptr && row->is_valid;
}

} // namespace

void analyse_domain(Analysis *analysis, const AlterDomainStmt *statement)
{
	Oid domain = typenameTypeId(nullptr, makeTypeNameFromNameList(statement->typeName));
	add_right(analysis, TypeRelationId, domain, Right::own); // checkDomainOwner()
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
			if (pg::validates_domains_once && is_valid(domain, statement->name))
				return;
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
