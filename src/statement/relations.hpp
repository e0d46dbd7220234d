// What the families ask of the catalog about relations: which one is meant, its leaves, its size,
// whether anybody can be harmed.
#pragma once
#include "pg/postgres.hpp"

#include "statement/analysis.hpp"

extern "C" {
#include "nodes/pg_list.h"
#include "utils/rel.h"
}

namespace safe_migrate::statement {

// The relation that a statement names.  `relation` is InvalidOid where there is none (with
// missing_ok), and where only an earlier statement of the script would create it: then created_by
// is that statement's number.
struct Target {
	Oid relation;
	int created_by;
	const char *schema;
	const char *name;
};
Target find_target(Analysis *analysis, const RangeVar *name, bool missing_ok);

// Asked before the catalog: false where the name means what it means there.
struct NameSource {
	bool (*find)(const NameSource *self, const RangeVar *name, bool missing_ok, Target *target);
};

// Opens the relation under AccessShare, which close_judged() gives back: keeping it would make the
// statement's own lock an upgrade.  nullptr where it was dropped meanwhile.  Waits only for who
// holds AccessExclusive: the statement itself would have to wait for him.
Relation open_judged(Oid relation);
void close_judged(Relation relation);
Relation open_judged_index(Oid index); // as index_open(); closed as the others

// Where the caller waits in a way of his own: until end_of_haste() open_judged() waits for nobody.
// It raises 55P03, and end_of_haste() tells the relation that somebody has locked; InvalidOid:
// none.
void begin_haste();
Oid end_of_haste();

// The relation itself and what inherits from it or is its partition, at all levels, as the server
// would lock them for a recursing command (find_all_inheritors), without locking them.
List *with_descendants(Oid relation);
// Of these, the ones with storage.
List *leaves(Oid relation);
// What it inherits from or is a partition of, at all levels.
List *ancestors(Oid relation);

// The tables that were created OF the composite type, as oids: find_typed_table_dependencies().
List *typed_tables(Oid type);

struct Column {
	AttrNumber number;
	Oid type;
	int32 typmod;
	Oid collation;
	bool is_not_null; // on 18 perhaps by a constraint that is not valid
	char generated;
	char identity;
	int parents;   // it is inherited from
	bool is_local; // and its own
};
// False where there is none of that name.
bool find_column(Oid relation, const char *name, Column *column);

// Bytes on disk.  From the files, never from statistics; over all leaves; read without opening them
// in the relation cache; -1 where it can't be known (foreign tables, no lock and the file went
// away).  Of an index: its own file.
int64 heap_bytes(Oid relation); // with TOAST
int64 heap_and_index_bytes(Oid relation);
int64 indexes_bytes(Oid relation);
int count_indexes(Oid relation); // over all leaves
// Of the relation alone, without what inherits from it.  A partitioned table's own are, by sizes
// from elsewhere, those of its partitions that are only there.
int64 own_heap_bytes(Oid relation);
int64 own_index_bytes(Oid relation);
int count_own_indexes(Oid relation);
List *own_indexes(Oid relation); // oids
// A table without one block in all its leaves.
bool is_empty(Oid relation);
// A partitioned table with rows in partitions that are only where the sizes are from.
bool has_rows_elsewhere(Oid relation);
List *tables_with_rows_elsewhere(); // all of them, as oids

// The table whose long values a TOAST table, or the index of one, holds; InvalidOid: it is none, or
// a catalog's.
Oid table_of_toast(Oid relation);
// Work on a TOAST table that a statement names is work on its table.
void judge_as_table(Finding *finding);

Exempt exemption(Oid relation); // everything but `empty`, which add_finding() looks at too
// Has a table that this session created got partitions or children that are others', with rows?
bool holds_rows_of_others(Oid relation);

// A table or what queries read as one: no index, sequence or composite type.
bool stands_for_table(char relkind);

// Sizes from elsewhere (export_sizes() of production, by qualified name) while explain() runs
// with them; nullptr: those of this database.
using SizeSource = bool (*)(void *state, Oid relation, int64 *heap, int64 *indexes);
void use_sizes(SizeSource source, void *state);

} // namespace safe_migrate::statement
