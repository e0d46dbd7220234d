// What a statement would do, as plain values: which relations it locks, how strongly, and what it
// does to each under that lock.  The families of this folder find it out; guard/ decides what to
// make of it; apply() what to do instead.  No server headers: verdicts are tested without a server.
#pragma once
#include <cstdint>

namespace safe_migrate::statement {

// The server's lock modes, with its numbers (storage/lockdefs.h).
enum class Lock : uint8_t {
	none = 0,
	access_share = 1,
	row_share = 2,
	row_exclusive = 3,
	share_update_exclusive = 4,
	share = 5,
	share_row_exclusive = 6,
	exclusive = 7,
	access_exclusive = 8,
};

// Who has to wait for it.
enum class Blocks : uint8_t { nothing, writes, reads_and_writes };

constexpr Blocks blocks(Lock lock)
{
	if (lock == Lock::access_exclusive)
		return Blocks::reads_and_writes;
	return lock >= Lock::share ? Blocks::writes : Blocks::nothing;
}

// A lock that stops somebody's work for as long as it is held, or queued for.
constexpr bool is_strong(Lock lock) { return blocks(lock) != Blocks::nothing; }

// What is done under the lock.  The harm of scan, rewrite and index_build grows with the size.
enum class Effect : uint8_t { metadata, scan, rewrite, index_build, client_break, data_loss };

constexpr bool grows_with_size(Effect effect)
{
	return effect == Effect::scan || effect == Effect::rewrite || effect == Effect::index_build;
}

// What in the statement it comes from.  Each cause but `lock` has its rule in guard/rules.cpp,
// in the same order; a new one goes to the end of its group in both.
enum class Cause : uint8_t {
	lock, // nothing but the lock, held for a catalog change

	// ALTER TABLE … ADD COLUMN
	add_column_volatile_default,
	add_column_serial,
	add_column_identity,
	add_column_stored_generated,
	add_column_constrained_domain,
	add_column_not_null, // without a default: fails if there is a row
	add_column_check,
	add_column_unique, // or PRIMARY KEY
	add_column_references,
	set_expression, // of a stored generated column

	// ALTER TABLE … ALTER COLUMN
	alter_type_rewrite,
	alter_type_index_rebuild, // no rewrite of the heap, but of these
	alter_type_constraint_scan,
	alter_type_prepared_statements, // clients: "cached plan must not change result type"
	set_not_null,

	// constraints
	add_check,
	add_foreign_key,
	add_unique,
	add_primary_key,
	add_exclude,
	validate_constraint, // a scan that blocks nobody, or more than that on what it refers to
	drop_constraint,

	// indexes
	create_index,
	drop_index,
	reindex,

	// partitions and inheritance
	attach_partition,
	attach_partition_default, // the scan of the default partition
	attach_partition_index,	  // an index that is missing on the new partition is built
	attach_partition_foreign_key,
	create_partition_default, // the scan of the default partition
	detach_partition,
	detach_partition_foreign_key, // one that refers to the partition is checked

	// whole tables
	vacuum_full,
	cluster,
	set_logged, // or UNLOGGED
	set_access_method,
	set_tablespace,
	refresh_materialized_view,
	truncate,
	drop_table, // also by way of a schema, an extension, an owner
	drop_column,
	drop_cascade, // what goes along without having been named

	// what clients know by name
	rename_table, // also view, materialized view, foreign table, SET SCHEMA
	rename_column,
	rename_other, // schema, type, function, enum value, constraint or sequence that clients name
	drop_other,	  // view, function, type, sequence …

	// domains and enums
	domain_constraint,
	domain_validate,
	enum_rename_value,

	// rows
	update_without_where,
	delete_without_where,
	too_many_rows,

	// the statement in its transaction or script: found by guard/, not by statement/
	invalid_index_skipped,
	published_table,
	several_strong_locks,
	work_after_strong_lock,
	validate_in_same_transaction,
	prepare_with_strong_lock,
	depends_on_earlier_statement,
	move_to_exempt, // to a schema or a parent whose policy lets everything pass

	n_causes
};

// Why an effect on a relation is nobody's problem.
enum class Exempt : uint8_t {
	no,
	created_here, // by this transaction or session, or by an earlier statement of the script
	temporary,
	system, // catalogs, TOAST by itself
	empty,	// not one block in all leaves
};

// One effect on one relation.  Texts are palloc'd in the context of the analysis, names as the
// catalog has them (unquoted); nullptr where there is none.
struct Finding {
	Cause cause;
	Effect effect;
	Lock lock; // the strongest that the statement takes on the relation
	Exempt exempt;
	bool is_target;		// named in the statement, not reached from there
	bool works_apart;	// in a transaction of its own: under this lock, whatever was taken before
	uint32_t relation;	// oid; 0 where it does not exist yet
	uint32_t to_schema; // where it goes to: SET SCHEMA; 0 = it stays
	uint32_t to_parent; // as a partition
	bool leaves_parent; // whose partition it is
	const char *schema;
	const char *name;
	int64_t bytes; // of what is scanned, rewritten, built on or lost, over all leaves: heap and
				   // TOAST; with indexes where these are rewritten too.  -1 = unknown: large
	int64_t rows;  // that the planner expects to be written; of UPDATE, DELETE, MERGE only
	int indexes;   // how many are rebuilt or built along
	const char *column;		// the first one concerned
	const char *object;		// constraint, index, type …, by its own name
	const char *definition; // SQL of the part of the statement that a safe function wants: a
							// constraint's, an index's, a column's definition, an expression
	const char *type;		// of a column that is added, as SQL writes it
	const char *expression; // what each existing row would get: the new column's DEFAULT
	const char *facts;		// what the other fields don't tell, as a clause for DETAIL, or nullptr
	const char *undecided;	// of a script: why it is not known before it runs whether there is such
							// an effect at all, as a clause, or nullptr
};

// What the server asks for before it does anything.
enum class Right : uint8_t {
	none,
	own,	   // of the schema suffices for DROP, the table's of what belongs to a table
	reference, // of a table
	lock,
	member, // of a role
};

// A thing that the statement is about, or that a deletion reaches.
struct Object {
	uint32_t class_id; // the catalog's
	uint32_t object;
	bool is_locked; // in ACCESS EXCLUSIVE mode, where it is no relation; those have their findings
	Right right;
	uint32_t role; // who needs the right; 0 = the current user
};

struct FindingPlaces; // where the findings of each relation begin: analysis.cpp

// All of one statement.
struct Effects {
	const char *command; // the server's command tag: "ALTER TABLE"
	const char *text;	 // the statement as written, without what surrounds it
	Finding *findings;
	int n;
	int capacity;
	FindingPlaces *places; // of findings, once there are many
	Object *objects;
	int n_objects;
	int objects_capacity;
	bool commits_inside; // CONCURRENTLY, VACUUM, CALL, DO: has transactions of its own
	bool nowait;		 // says NOWAIT: fails where others wait
	bool runs_code;		 // of others: judged when it runs
	int depends_on;		 // number of the statement of a script whose outcome one would have to
						 // know, 0 = none
	const char *depends_on_what;
	const char *fails; // the server would refuse it, with this message, once it has its locks
};

} // namespace safe_migrate::statement
