// What a job stores of its assignments and predicate: texts that mean the same under an empty
// search_path, and beside them what they refer to.
#pragma once
#include "operations/backfill/resolve.hpp"
#include "pg/pinned_settings.hpp"

namespace safe_migrate::operations::backfill {

constexpr const char stored_alias[] = "target"; // by which they refer to the table

// The settings that they are written and read under.
void enter_for_texts(pg::PinnedSettings *pinned);

// `entries`: TargetEntry, resno = attribute number.
Definition *store_texts(const Request &request, Relation root, List *entries, Node *predicate);

// 0A000 where the texts, analysed again as `query`, are not the trees that they were made from.
void check_round_trip(const Definition &definition, const Query *query, List *entries,
					  Node *predicate);

// What the analysed texts refer to, and whether they read the table itself.
void describe_trees(Definition *definition, const Query *query, const Target &target);

} // namespace safe_migrate::operations::backfill
