// What takes back a constraint that is added, and what of it was there before.
#pragma once
#include "operations/constraint/definition.hpp"

namespace safe_migrate::operations::constraint {

// SQL under any search_path, statements to be run one by one, told before it is added; nullptr
// where it is there already, or would take along what partitions have of their own.  Keys are
// add_key_steps()'s to tell.
char *undo_of_new(Relation relation, const Definition &definition);
char *undo_of_not_null(Oid relation, const char *column);

// From 18 on NOT NULL that came from a parent is a partition's own once that has a primary key:
// what takes it from those that had none, once the parent's is gone.
char *undo_in_partitions(Oid root, const char *column);

// A foreign key of the table that says the same, valid or not; one that a new one of the root above
// takes as its own (tryAttachPartitionForeignKey()).  InvalidOid where there is none.
Oid find_equal_key(Relation relation, const char *body);
Oid find_taken_key(Relation relation, const char *body, Oid root);

} // namespace safe_migrate::operations::constraint
