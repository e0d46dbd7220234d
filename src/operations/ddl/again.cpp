// See again.hpp.
#include "operations/ddl/again.hpp"

#include "operations/ddl/sql.hpp"
#include "pg/compat_analysis.hpp"
#include "pg/pinned_settings.hpp"

extern "C" {
#include "access/htup_details.h"
#include "catalog/index.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"
}

namespace safe_migrate::operations::ddl {

namespace {

void append(StringInfo sql, const char *statement)
{
	if (statement)
		appendStringInfo(sql, "%s%s", sql->len > 0 ? ";\n" : "", statement);
}

// ---------------------------------------------------------------- indexes

bool is_partitioned(Oid relation)
{
	char kind = get_rel_relkind(relation);
	return kind == RELKIND_PARTITIONED_INDEX || kind == RELKIND_PARTITIONED_TABLE;
}

// Of a partitioned table ONLY the frame; else concurrently.
char *create_text(Oid index)
{
	pg::PinnedSettings pinned = {};
	pinned.enter();
	char *text = pg_get_indexdef_string(index);
	const char *head = strncmp(text, "CREATE UNIQUE ", strlen("CREATE UNIQUE ")) == 0
						   ? "CREATE UNIQUE INDEX "
						   : "CREATE INDEX ";
	const char *name = quote_identifier(get_rel_name(index));
	const char *rest = text + strlen(head) + strlen(name) + strlen(" ON ");
	bool partitioned = is_partitioned(index);
	char *again = psprintf("%s%s%s ON %s%s", head, partitioned ? "" : "CONCURRENTLY ", name,
						   partitioned ? "ONLY " : "", rest);
	pinned.leave();
	return again;
}

// What ALTER and COMMENT said about it.
char *said_of_index(Oid index)
{
	return values_of(psprintf(
		"SELECT coalesce(string_agg(sql, E';\\n' ORDER BY n, attnum), '') FROM ("
		"SELECT 1, attnum, format('ALTER INDEX %%s ALTER COLUMN %%s SET STATISTICS %%s', "
		"attrelid::regclass, attnum, attstattarget) FROM pg_attribute "
		"WHERE attrelid = %u AND attstattarget >= 0 "
		"UNION ALL SELECT 2, 0, format('COMMENT ON INDEX %%s IS %%L', oid::regclass, "
		"obj_description(oid, 'pg_class')) FROM pg_class "
		"WHERE oid = %u AND obj_description(oid, 'pg_class') IS NOT NULL "
		"UNION ALL SELECT 3, 0, format('ALTER TABLE %%s CLUSTER ON %%I', indrelid::regclass, "
		"relname) FROM pg_index JOIN pg_class c ON c.oid = indexrelid "
		"WHERE indexrelid = %u AND indisclustered "
		"UNION ALL SELECT 4, 0, format('ALTER TABLE ONLY %%s REPLICA IDENTITY USING INDEX %%I', "
		"indrelid::regclass, relname) FROM pg_index JOIN pg_class c ON c.oid = indexrelid "
		"WHERE indexrelid = %u AND indisreplident) s (n, attnum, sql)",
		index, index, index, index));
}

// An index and those that are attached to it, the deepest first.
List *deepest_first(Oid index)
{
	List *all = find_all_inheritors(index, NoLock, nullptr);
	List *turned = NIL;
	for (int i = list_length(all) - 1; i >= 0; i--)
		turned = lappend_oid(turned, list_nth_oid(all, i));
	return turned;
}

} // namespace

char *index_again(Oid index)
{
	StringInfoData sql;
	initStringInfo(&sql);
	List *all = deepest_first(index);
	ListCell *cell;
	foreach (cell, all)
		append(&sql, create_text(lfirst_oid(cell)));
	foreach (cell, all) {
		Oid one = lfirst_oid(cell);
		if (one != index)
			append(&sql, psprintf("ALTER INDEX %s ATTACH PARTITION %s",
								  quoted_name(get_partition_parent(one, false)), quoted_name(one)));
	}
	foreach (cell, all)
		append(&sql, said_of_index(lfirst_oid(cell)));
	return sql.data;
}

// ---------------------------------------------------------------- constraints

namespace {

constexpr char not_null = 'n'; // CONSTRAINT_NOTNULL, from 18 on

struct Stored { // of a row of pg_constraint
	Oid oid;
	Oid relation;
	Oid index;
	char *name;
	char type;
	bool valid;
	bool deferrable;
	bool deferred;
};

Stored read(Oid oid)
{
	HeapTuple tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(oid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for constraint %u", oid);
	auto form = reinterpret_cast<Form_pg_constraint>(GETSTRUCT(tuple));
	Stored stored = {
		oid,		   form->conrelid,	   form->conindid,		pstrdup(NameStr(form->conname)),
		form->contype, form->convalidated, form->condeferrable, form->condeferred};
	ReleaseSysCache(tuple);
	return stored;
}

char *add_text(Oid constraint)
{
	pg::PinnedSettings pinned = {};
	pinned.enter();
	char *text = pg_get_constraintdef_command(constraint);
	pinned.leave();
	return text;
}

// With those of the tables that have it from this one.
char *comments(const Stored &stored)
{
	return values_of(psprintf(
		"WITH RECURSIVE tree(relation) AS (SELECT %u::oid UNION "
		"SELECT inhrelid FROM pg_inherits JOIN tree ON inhparent = relation) "
		"SELECT coalesce(string_agg(format('COMMENT ON CONSTRAINT %%I ON %%s IS %%L', conname, "
		"relation::regclass, obj_description(oid, 'pg_constraint')), E';\\n'), '') "
		"FROM tree JOIN pg_constraint ON conrelid = relation "
		"WHERE (oid = %u OR contype = '%c' AND contype IN ('c', 'n') AND conname = %s) "
		"AND obj_description(oid, 'pg_constraint') IS NOT NULL",
		stored.relation, stored.oid, stored.type, literal(stored.name)));
}

// A foreign key of a partitioned table can't be NOT VALID before 18: leaf by leaf.
char *add_by_job(const Stored &stored)
{
	return psprintf("CALL safe_migrate.wait(safe_migrate.add_constraint_safely(%s, %s))",
					literal(quoted_name(stored.relation)),
					literal(psprintf("CONSTRAINT %s %s", identifier(stored.name),
									 constraint_text(stored.oid))));
}

void append_validated(StringInfo sql, const Stored &stored)
{
	if (!stored.valid)
		append(sql, add_text(stored.oid));
	else if (stored.type == CONSTRAINT_FOREIGN && is_partitioned(stored.relation) &&
			 !pg::partitioned_keys_can_be_not_valid)
		append(sql, add_by_job(stored));
	else {
		append(sql, psprintf("%s NOT VALID", add_text(stored.oid)));
		append(sql, psprintf("ALTER TABLE %s VALIDATE CONSTRAINT %s", quoted_name(stored.relation),
							 identifier(stored.name)));
	}
	append(sql, comments(stored));
}

bool is_valid(Oid index)
{
	return holds(psprintf("SELECT indisvalid FROM pg_index WHERE indexrelid = %u", index));
}

// One key: of a partitioned table it takes those of the partitions, which are there by then.
void append_key(StringInfo sql, const Stored &stored)
{
	if (is_partitioned(stored.index))
		append(sql, add_text(stored.oid));
	else {
		append(sql, create_text(stored.index));
		append(sql, psprintf("ALTER TABLE %s ADD CONSTRAINT %s %s USING INDEX %s%s%s",
							 quoted_name(stored.relation), identifier(stored.name),
							 stored.type == CONSTRAINT_PRIMARY ? "PRIMARY KEY" : "UNIQUE",
							 identifier(get_rel_name(stored.index)),
							 stored.deferrable ? " DEFERRABLE" : "",
							 stored.deferred ? " INITIALLY DEFERRED" : ""));
	}
}

char *key_again(const Stored &stored)
{
	if (!is_valid(stored.index)) // made for the partitioned table ONLY
		return nullptr;
	StringInfoData sql;
	initStringInfo(&sql);
	List *all = deepest_first(stored.index);
	ListCell *cell;
	foreach (cell, all)
		append_key(&sql, read(get_index_constraint(lfirst_oid(cell))));
	foreach (cell, all) {
		append(&sql, said_of_index(lfirst_oid(cell)));
		append(&sql, comments(read(get_index_constraint(lfirst_oid(cell)))));
	}
	return sql.data;
}

// No index of another statement becomes that of such a one.
char *exclusion_again(const Stored &stored)
{
	if (is_partitioned(stored.index))
		return nullptr; // its partitions' have names of their own
	StringInfoData sql;
	initStringInfo(&sql);
	append(&sql, add_text(stored.oid));
	append(&sql, said_of_index(stored.index));
	append(&sql, comments(stored));
	return sql.data;
}

bool is_exclusion(Oid index)
{
	return holds(psprintf("SELECT indisexclusion FROM pg_index WHERE indexrelid = %u", index));
}

} // namespace

char *constraint_again(Oid constraint)
{
	Stored stored = read(constraint);
	StringInfoData sql;
	initStringInfo(&sql);
	switch (stored.type) {
		case CONSTRAINT_CHECK:
		case CONSTRAINT_FOREIGN:
		case not_null:
			append_validated(&sql, stored);
			return sql.data;
		case CONSTRAINT_PRIMARY:
		case CONSTRAINT_UNIQUE:
		case CONSTRAINT_EXCLUSION:
			return is_exclusion(stored.index) ? exclusion_again(stored) : key_again(stored);
		default:
			return nullptr;
	}
}

} // namespace safe_migrate::operations::ddl
