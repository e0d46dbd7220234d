// What a backfill or a purge is to do, as it is stored with the job: resolved when
// queued, so that nobody can slip another object in later.  Expression texts are
// deparsed under an empty search_path and refer to the target by its alias
// ("target") and to its columns by the names they had when queued; `columns` maps
// those names back to attribute numbers, so that a rename in between does no harm; `objects`
// does it for all else that the texts name.
// A value is analysed as in UPDATE … SET: the coercion to the column's type is an assignment's,
// which an expression can't say (an explicit cast would cut a text that is too long).
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "access/attnum.h"
#include "nodes/pg_list.h"
}

namespace safe_migrate::operations::backfill {

enum class RowAction : uint8_t { update, erase };

struct Assignment {
	AttrNumber attnum;		// in the named (root) relation; leaves are matched by name
	const char *column;		// its name when queued
	const char *expression; // resolved text of the new value, to be coerced as by an assignment
};

struct Definition {
	RowAction action;
	Oid relation;			 // table, partitioned table or inheritance parent
	int n_assignments;		 // 0 when action is erase
	Assignment *assignments; // palloc'd with the Definition
	const char *predicate;	 // resolved text; never null (the default predicate is spelled out)
	int n_columns;			 // length of columns[]
	const char **columns;	 // columns[attnum - 1]; nullptr where the texts don't name the column
	bool reads_itself;		 // the texts may read the rows that the job writes
	List *objects;			 // pg::known_objects() of the texts
	bool fire_triggers; // false: as under session_replication_role = replica, for those who may
};

// jsonb text for step.definition and back; palloc'd in the current context.
char *to_json(const Definition &definition);
// For job.definition, by which a second call finds the job: a function that was dropped and made
// again since is the same one there, so it is without `objects`.
char *to_json_without_objects(const Definition &definition);
Definition *from_json(const char *json); // error XX000 when malformed

} // namespace safe_migrate::operations::backfill
