// drop_constraint_safely(), and the foreign keys that other operations drop first.
#include "operations/ddl/again.hpp"
#include "operations/ddl/restrict.hpp"
#include "operations/ddl/sql.hpp"
#include "operations/ddl/target.hpp"
#include "operations/drop/losers.hpp"
#include "operations/drop/steps.hpp"
#include "pg/boundary.hpp"
#include "statement/relations.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_constraint.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
}

namespace safe_migrate::operations::drop {

using ddl::identifier;
using ddl::literal;
using ddl::quoted_name;
using statement::Lock;

namespace {

struct Stored { // a row of pg_constraint
	Oid oid;
	Oid relation;
	Oid parent;
	Oid referenced;
	char *name;
	bool is_foreign_key;
	bool is_check;
	bool is_local;
	int parents; // it is inherited from
	bool no_inherit;
};

Stored read_constraint(Oid oid)
{
	HeapTuple tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(oid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for constraint %u", oid);
	auto form = reinterpret_cast<Form_pg_constraint>(GETSTRUCT(tuple));
	Stored stored = {oid,
					 form->conrelid,
					 form->conparentid,
					 form->confrelid,
					 pstrdup(NameStr(form->conname)),
					 form->contype == CONSTRAINT_FOREIGN,
					 form->contype == CONSTRAINT_CHECK,
					 form->conislocal,
					 form->coninhcount,
					 form->connoinherit};
	ReleaseSysCache(tuple);
	return stored;
}

char *drop_statement(const Stored &stored)
{
	return psprintf("ALTER TABLE %s DROP CONSTRAINT %s", quoted_name(stored.relation),
					identifier(stored.name));
}

void add_drop_step(ddl::Recipe *recipe, const Stored &stored)
{
	ddl::RecipeStep *step = ddl::add_step(recipe, "statement", drop_statement(stored));
	step->description = ddl::with_dependents(step->sql, {ConstraintRelationId, stored.oid, 0});
	ddl::add_lock(step, stored.relation, Lock::access_exclusive);
	if (OidIsValid(stored.referenced) && stored.referenced != stored.relation)
		ddl::add_lock(step, stored.referenced, Lock::access_exclusive);
	step->descend = !stored.no_inherit || stored.is_foreign_key;
	step->done =
		psprintf("SELECT NOT EXISTS (SELECT FROM pg_constraint WHERE oid = %u)", stored.oid);
	step->still = psprintf("SELECT to_regclass(%s) = conrelid AND conname = %s FROM pg_constraint "
						   "WHERE oid = %u",
						   literal(quoted_name(stored.relation)), literal(stored.name), stored.oid);
	step->still_what =
		psprintf("constraint %s of %s", identifier(stored.name), quoted_name(stored.relation));
	step->undo = ddl::constraint_again(stored.oid);
}

bool is_in_key(const ForeignKeyCacheInfo *key, const char *column)
{
	AttrNumber number = get_attnum(key->conrelid, column);
	for (int i = 0; i < key->nkeys; i++)
		if (key->conkey[i] == number)
			return true;
	return false;
}

// It goes with a key of another table of the tree, or no other table is locked for it.
bool goes_by_itself(const Stored &stored, bool is_detached_root)
{
	if (stored.referenced == stored.relation)
		return true;
	if (!OidIsValid(stored.parent))
		return stored.parents > 0;
	return !is_detached_root || read_constraint(stored.parent).relation == stored.relation;
}

} // namespace

void add_foreign_key_steps(ddl::Recipe *recipe, Oid root, const char *column, bool will_be_detached)
{
	ListCell *table, *cell;
	foreach (table, statement::with_descendants(root)) {
		if (!ddl::is_own(lfirst_oid(table)))
			continue; // they go with the table's
		Relation relation = table_open(lfirst_oid(table), AccessShareLock);
		foreach (cell, RelationGetFKeyList(relation)) {
			const auto *key = static_cast<const ForeignKeyCacheInfo *>(lfirst(cell));
			Stored stored = read_constraint(key->conoid);
			if (goes_by_itself(stored, will_be_detached && stored.relation == root) ||
				(column && !is_in_key(key, column)))
				continue;
			add_drop_step(recipe, stored);
			recipe->relations =
				list_concat_unique_oid(recipe->relations, statement::leaves(stored.referenced));
		}
		table_close(relation, NoLock);
	}
}

void need_owners_of_constraint(ddl::Recipe *recipe, Oid table, const char *name)
{
	Oid oid = get_relation_constraint_oid(table, name, true);
	if (!OidIsValid(oid) || !read_constraint(oid).is_check)
		return;
	List *losers = find_losers(table, [&](Oid child) {
		Oid own = get_relation_constraint_oid(child, name, true);
		Stored stored = OidIsValid(own) ? read_constraint(own) : Stored{};
		return stored.is_local ? 0 : stored.parents;
	});
	recipe->owned = list_concat_unique_oid(recipe->owned, losers);
}

void add_constraint_steps(ddl::Recipe *recipe, Relation relation, const char *name)
{
	Oid oid = RelationGetRelid(relation);
	Stored stored = read_constraint(ddl::find_constraint(relation, name));
	if (stored.parents > 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_TABLE_DEFINITION),
						errmsg("cannot drop inherited constraint \"%s\" of relation \"%s\"", name,
							   RelationGetRelationName(relation)),
						errhint("Drop it from the table that it is inherited from.")));
	ObjectAddress object = {ConstraintRelationId, stored.oid, 0};
	ddl::refuse_dependents(object);
	ddl::note_dependents(object);
	need_owners_of_constraint(recipe, oid, name);
	add_drop_step(recipe, stored);
	if (stored.is_foreign_key)
		recipe->relations =
			list_concat_unique_oid(recipe->relations, statement::leaves(stored.referenced));
}

namespace {

jobs::JobId drop_constraint(Oid oid, const char *name, const Options &options)
{
	char *sql = psprintf("ALTER TABLE %s DROP CONSTRAINT %s", quoted_name(oid), identifier(name));
	auto plan = [&](ddl::Recipe *recipe, Relation relation) {
		recipe->judged = sql;
		add_constraint_steps(recipe, relation, name);
		recipe->plain = list_make1(sql);
	};
	return ddl::carry_out_on_table("drop_constraint", oid, sql, options, plan);
}

} // namespace

} // namespace safe_migrate::operations::drop

SAFE_MIGRATE_OPERATION(safe_migrate_drop_constraint_safely)
{
	using namespace safe_migrate::operations;
	begin_call(fcinfo, "drop_constraint_safely()", {"relation", "constraint_name"});
	PG_RETURN_INT64(drop::drop_constraint(PG_GETARG_OID(0), NameStr(*PG_GETARG_NAME(1)),
										  read_options(fcinfo, 2)));
}
