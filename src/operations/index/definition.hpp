// CREATE INDEX in ordinary syntax, read in the caller's search_path, and written again for the
// table or for its partitions so that it means the same under any path.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "nodes/parsenodes.h"
#include "utils/relcache.h"
}

namespace safe_migrate::operations::index {

struct Definition {
	Oid relation;
	IndexStmt *parsed;	   // as the parser left it
	const char *body;	   // what follows the table's name: "USING btree (a, lower(b)) WHERE …"
	List *column_names;	   // of char *: as the server names the index's columns
	List *keys;			   // of char *: key columns and expressions, as SQL
	const char *predicate; // or nullptr
	bool has_expression;
};

// One CREATE INDEX statement and nothing else: 42601; the server's own errors for what it can't
// parse or analyse.  Locks the table with AccessShareLock to the end of the transaction.
Definition read_definition(const char *text);

// The same from a statement of ours, or one that is parsed, on an open table.
Definition own_definition(Relation relation, const char *create_statement);
Definition make_definition(Relation relation, IndexStmt *parsed, const char *source);

// The names of its columns, elements of IndexElem.  Mirrors ChooseIndexColumnNames().
List *choose_column_names(const List *elements);

// What the server puts into the name of an index, unique or foreign key for its columns (of
// char *): "a_b".  Mirrors ChooseIndexNameAddition(), ChooseForeignKeyConstraintNameAddition().
char *joined_names(const List *names);

// The name that the server would choose for it on that table: "orders_a_lower_idx"; not one of
// `taken` (of taken_name()).  label: "idx", "key", "pkey".
char *choose_name(Relation relation, List *column_names, const char *label, List *taken);
// The same for a partition: what an earlier try has left there invalid, of the same definition, is
// built again under its own name; of a key where it is the first of these names.
char *choose_partition_name(Relation relation, const Definition &definition, const char *label,
							List *taken);
// The name of an index of that table, as one of `taken`: a schema's own.
char *taken_name(Oid table, const char *name);

// "fillfactor = '70'": options of WITH (…).
char *options_text(const List *options);

// "CREATE UNIQUE INDEX CONCURRENTLY name ON schema.table USING …".
char *create_statement(const Definition &definition, const char *name, Oid relation,
					   bool concurrently);

// How an index on the table compares with the statement that is to make it.
enum class Existing : uint8_t { none, same, same_invalid, different };
Existing compare_existing(const char *create_statement, Oid *index);

} // namespace safe_migrate::operations::index
