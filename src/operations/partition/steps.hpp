// Partitions that come and go without a scan under a strong lock.
#pragma once
#include "jobs/step_context.hpp"
#include "operations/ddl/recipe.hpp"

extern "C" {
#include "nodes/parsenodes.h"
#include "utils/relcache.h"
}

namespace safe_migrate::operations::partition {

// A bound as the user wrote it, evaluated against the parent, and as SQL that means the same under
// any settings.
struct Bound {
	PartitionBoundSpec *spec;
	char *text; // "FOR VALUES FROM (…) TO (…)", "DEFAULT"
};

// "FOR VALUES …" or "DEFAULT" and nothing else: 42601; the server's own errors.
Bound read_bound(Relation parent, const char *text);
// The same from what the parser left of it.
Bound make_bound(Relation parent, PartitionBoundSpec *parsed, const char *source);

// The bound of a partition; SQL that attaches it again when it is none any more.
char *bound_of(Oid partition);
char *attach_again(Oid parent, Oid partition);

// All that ATTACH would check or build under its lock is proven or built first; then ATTACH, and
// what was only for the proof goes.
void add_attach_steps(ddl::Recipe *recipe, Relation parent, Relation child, const Bound &bound);

// The server's errors where the one can't become a partition of the other; and where there is no
// room for a bound, as far as that is known: not of one that would call VOLATILE functions.
void check_new_child(Relation parent, Relation child);
void check_bound(Relation parent, char *child, PartitionBoundSpec *parsed, const char *sql);

// The same of a CREATE TABLE … PARTITION OF.
void check_new_partition(Relation parent, const CreateStmt *statement, const char *sql);

// CREATE TABLE … PARTITION OF, as the caller wrote it, once it is proven that the default partition
// holds no row for it.
void add_create_steps(ddl::Recipe *recipe, Relation parent, const CreateStmt *statement,
					  const char *sql);

// The steps of a partition that make what the parent has: NOT NULL, CHECK, indexes and keys,
// foreign keys.
void add_preparation_steps(ddl::Recipe *recipe, Relation parent, Relation child);

// Errors 42809 and 42P01 where it is none of that table's.
void check_partition(Relation parent, Oid partition);

// Concurrently where the server can (a parent without a default partition), else with brief locks.
// An interrupted DETACH CONCURRENTLY is finished.
void add_detach_steps(ddl::Recipe *recipe, Oid parent, Oid partition);
void run_detach_step(jobs::StepContext *context);

} // namespace safe_migrate::operations::partition
