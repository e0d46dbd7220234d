// The rules: one row for each cause, in the order of statement::Cause.
#include <string_view>

#include "guard/verdict.hpp"

#include "pg/pure.hpp"

namespace safe_migrate::guard {

namespace {

using statement::Cause;

constexpr Level allow = Level::allow;
constexpr Level warn = Level::warn;
constexpr Level reject = Level::reject;
constexpr Harm by_work = Harm::by_work;
constexpr Harm by_lock = Harm::by_lock;
constexpr Harm always = Harm::always;

// What several rules have in common.
constexpr const char *add_column =
	"SELECT safe_migrate.add_column_safely({relation_literal}, {definition_literal});";
constexpr const char *add_constraint =
	"SELECT safe_migrate.add_constraint_safely({relation_literal}, {definition_literal});";
constexpr const char *add_not_valid = "ALTER TABLE {relation} ADD {definition} NOT VALID;\n"
									  "-- and in a transaction of its own:\n"
									  "ALTER TABLE {relation} VALIDATE CONSTRAINT {object};";
constexpr const char *attach_partition =
	"SELECT safe_migrate.attach_partition_safely({parent_literal}, {partition_literal}, "
	"{bound_literal});";
constexpr const char *apply_it = "SELECT safe_migrate.apply({statement_literal});";
constexpr const char *shadow_column =
	"-- a new column of that type, kept up to date by a trigger, then:\n"
	"SELECT safe_migrate.backfill({relation_literal}, 'new_column = old_column');\n"
	"-- then let the application read the new column, and drop the old one";
constexpr const char *drop_later =
	"-- take it out of all queries first, and wait until no application uses it";

constexpr Rule rules[] = {
	{Cause::lock, "strong-lock", allow, by_lock,
	 "reads or writes wait for a change of the catalog, and that waits for all queries under way",
	 nullptr, nullptr},

	// ---- ADD COLUMN
	{Cause::add_column_volatile_default, "add-column-volatile-default", reject, by_work,
	 "a volatile default is computed for each row, so that the table is rewritten", add_column,
	 "ALTER TABLE {relation} ADD COLUMN {column} {type};\n"
	 "ALTER TABLE {relation} ALTER COLUMN {column} SET DEFAULT {expression};\n"
	 "SELECT safe_migrate.backfill({relation_literal}, {assignment_literal});"},
	{Cause::add_column_serial, "add-column-serial", reject, by_work,
	 "a serial column is numbered in each row, so that the table is rewritten", add_column,
	 "-- add {column} as a plain integer column, create a sequence, then\n"
	 "ALTER TABLE {relation} ALTER COLUMN {column} SET DEFAULT nextval('…');\n"
	 "SELECT safe_migrate.backfill({relation_literal}, {assignment_literal});"},
	{Cause::add_column_identity, "add-column-identity", reject, by_work,
	 "an identity column is numbered in each row, so that the table is rewritten", add_column,
	 "-- add {column} as a plain integer column, create a sequence, then\n"
	 "ALTER TABLE {relation} ALTER COLUMN {column} SET DEFAULT nextval('…');\n"
	 "SELECT safe_migrate.backfill({relation_literal}, {assignment_literal});"},
	{Cause::add_column_stored_generated, "add-column-stored-generated", reject, by_work,
	 "a stored generated column is computed for each row, so that the table is rewritten", nullptr,
	 "-- add {column} as a plain column, kept up to date by a trigger, then\n"
	 "SELECT safe_migrate.backfill({relation_literal}, {assignment_literal});"},
	{Cause::add_column_constrained_domain, "add-column-constrained-domain", reject, by_work,
	 "a column of a domain with constraints has its rows checked by rewriting the table",
	 add_column,
	 "-- add {column} with the domain's base type, then the domain's condition as\n"
	 "ALTER TABLE {relation} ADD CHECK (…) NOT VALID;"},
	{Cause::add_column_not_null, "add-column-not-null", reject, always,
	 "a NOT NULL column without a default can't be added to a table with rows", nullptr,
	 "ALTER TABLE {relation} ADD COLUMN {column} {type};\n"
	 "SELECT safe_migrate.add_not_null_safely({relation_literal}, {column_name_literal}, '…');"},
	{Cause::add_column_check, "add-column-check", reject, by_work,
	 "a CHECK in the column's definition is verified by scanning the table", add_column,
	 "-- add {column} without it, then\n"
	 "ALTER TABLE {relation} ADD CHECK (…) NOT VALID;\n"
	 "-- and in a transaction of its own VALIDATE CONSTRAINT"},
	{Cause::add_column_unique, "add-column-unique", reject, by_work,
	 "a key in the column's definition builds its index under a lock that stops reads and writes",
	 add_column,
	 "-- add {column} without it, then\n"
	 "CREATE UNIQUE INDEX CONCURRENTLY ON {relation} ({column});\n"
	 "-- then ALTER TABLE … ADD UNIQUE USING INDEX"},
	{Cause::add_column_references, "add-column-references", reject, by_work,
	 "a foreign key on a column with a default is verified by scanning the table", add_column,
	 "-- add {column} without REFERENCES, then\n"
	 "ALTER TABLE {relation} ADD FOREIGN KEY ({column}) REFERENCES … NOT VALID;\n"
	 "-- and in a transaction of its own VALIDATE CONSTRAINT"},
	{Cause::set_expression, "set-expression", reject, by_work,
	 "another expression of a stored generated column is computed for each row, so that the table "
	 "is rewritten",
	 nullptr, shadow_column},

	// ---- ALTER COLUMN
	{Cause::alter_type_rewrite, "alter-type-rewrite", reject, by_work,
	 "the new type stores values in another way, so that the table and its indexes are rewritten",
	 nullptr, shadow_column},
	{Cause::alter_type_index_rebuild, "alter-type-index-rebuild", reject, by_work,
	 "the new type sorts in another way, so that indexes are rebuilt", nullptr,
	 "-- drop the indexes on {column} by DROP INDEX CONCURRENTLY before and create them by\n"
	 "-- CREATE INDEX CONCURRENTLY after the change of the type; or\n" //
	 "-- a new column of that type, kept up to date by a trigger"},
	{Cause::alter_type_constraint_scan, "alter-type-constraint-scan", reject, by_work,
	 "constraints on the column are verified again by scanning the table", nullptr,
	 "-- drop the constraint, change the type, add the constraint NOT VALID,\n"
	 "-- and in a transaction of its own VALIDATE CONSTRAINT"},
	{Cause::alter_type_prepared_statements, "alter-type-prepared-statements", warn, always,
	 "prepared statements of open connections that return the column fail after a change of its "
	 "type",
	 nullptr, "-- let connections run DISCARD PLANS, or reconnect, after the change"},
	{Cause::set_not_null, "set-not-null", reject, by_work,
	 "that no row is NULL is verified by scanning the table",
	 "SELECT safe_migrate.add_not_null_safely({relation_literal}, {column_name_literal});",
	 "ALTER TABLE {relation} ADD CONSTRAINT {not_null_name} CHECK ({column} IS NOT NULL) NOT "
	 "VALID;\n"
	 "-- and each in a transaction of its own:\n"
	 "ALTER TABLE {relation} VALIDATE CONSTRAINT {not_null_name};\n"
	 "ALTER TABLE {relation} ALTER COLUMN {column} SET NOT NULL;\n"
	 "ALTER TABLE {relation} DROP CONSTRAINT {not_null_name};"},

	// ---- constraints
	{Cause::add_check, "add-check", reject, by_work, "a CHECK is verified by scanning the table",
	 add_constraint, add_not_valid},
	{Cause::add_foreign_key, "add-foreign-key", reject, by_work,
	 "a foreign key is verified by scanning the table under a lock that stops writes to both "
	 "tables",
	 add_constraint, add_not_valid},
	{Cause::add_unique, "add-unique", reject, by_work,
	 "a unique constraint builds its index under a lock that stops reads and writes",
	 add_constraint,
	 "-- CREATE UNIQUE INDEX CONCURRENTLY … ON {relation} (…), then\n"
	 "ALTER TABLE {relation} ADD UNIQUE USING INDEX …;"},
	{Cause::add_primary_key, "add-primary-key", reject, by_work,
	 "a primary key builds its index under a lock that stops reads and writes", add_constraint,
	 "-- CREATE UNIQUE INDEX CONCURRENTLY … ON {relation} (…), SET NOT NULL its columns, then\n"
	 "ALTER TABLE {relation} ADD PRIMARY KEY USING INDEX …;"},
	{Cause::add_exclude, "add-exclude", reject, by_work,
	 "an exclusion constraint builds its index under a lock that stops reads and writes", nullptr,
	 "-- there is no online form: a new table with the constraint, filled and swapped"},
	{Cause::validate_constraint, "validate-constraint", reject, by_work,
	 "the constraint is verified under a lock that stops writes",
	 "SELECT safe_migrate.validate_constraint_safely({relation_literal}, "
	 "{existing_constraint_name_literal});",
	 "-- once it is there, NOT VALID, in a transaction of its own:\n"
	 "ALTER TABLE {relation} VALIDATE CONSTRAINT {object};"},
	{Cause::drop_constraint, "drop-constraint", warn, always,
	 "rows that the constraint kept out get in, and clients that name it fail",
	 "SELECT safe_migrate.drop_constraint_safely({relation_literal}, "
	 "{existing_constraint_name_literal});",
	 nullptr},

	// ---- indexes
	{Cause::create_index, "create-index", reject, by_work,
	 "the index is built under a lock that stops writes",
	 "SELECT safe_migrate.create_index_safely({statement_literal});", "{statement_concurrently};"},
	{Cause::drop_index, "drop-index", allow, by_lock,
	 "the index is dropped under a lock that stops reads and writes, behind all queries under way",
	 "SELECT safe_migrate.drop_index_safely({object_path_literal});",
	 "DROP INDEX CONCURRENTLY {object_path};"},
	{Cause::reindex, "reindex", reject, by_work,
	 "the index is rebuilt under a lock that stops writes, and reads too, as they plan with it",
	 "SELECT safe_migrate.reindex_safely({reindex_target_literal});",
	 "REINDEX {reindex_concurrently};"},

	// ---- partitions
	{Cause::attach_partition, "attach-partition", reject, by_work,
	 "that all rows fit the partition's bound is verified by scanning it", attach_partition,
	 "ALTER TABLE {relation} ADD CONSTRAINT {bound_name} CHECK ({definition}) NOT VALID;\n"
	 "-- and in transactions of their own:\n"
	 "ALTER TABLE {relation} VALIDATE CONSTRAINT {bound_name};\n"
	 "{statement};"},
	{Cause::attach_partition_default, "attach-partition-default", reject, by_work,
	 "that no row of the default partition belongs to the new one is verified by scanning it",
	 attach_partition,
	 "-- give {relation} a CHECK that excludes the new bound, NOT VALID, and validate it in a "
	 "transaction of\n"
	 "-- its own first"},
	{Cause::attach_partition_index, "attach-partition-index", reject, by_work,
	 "an index of the parent that the partition has not is built under a lock that stops writes",
	 attach_partition, "-- create the index on {relation} by CREATE INDEX CONCURRENTLY first"},
	{Cause::attach_partition_foreign_key, "attach-partition-foreign-key", reject, by_work,
	 "a foreign key of the parent is verified by scanning the partition", attach_partition,
	 "-- add the same foreign key to {relation}, NOT VALID, and validate it in a transaction of "
	 "its "
	 "own first"},
	{Cause::create_partition_default, "create-partition-default", reject, by_work,
	 "that no row of the default partition belongs to the new one is verified by scanning it",
	 apply_it,
	 "-- give {relation} a CHECK that excludes the new bound, NOT VALID, and validate it in a "
	 "transaction of\n"
	 "-- its own first"},
	{Cause::detach_partition, "detach-partition", allow, by_lock,
	 "the parent is locked so that reads and writes of all its partitions wait",
	 "SELECT safe_migrate.detach_partition_safely({parent_literal}, {partition_literal});",
	 "ALTER TABLE {parent} DETACH PARTITION {partition} CONCURRENTLY;"},
	{Cause::detach_partition_foreign_key, "detach-partition-foreign-key", reject, by_work,
	 "that no row refers to the partition is verified under a lock that stops writes", nullptr,
	 "-- a foreign key to the partitioned table is checked at every DETACH: drop it first, and add "
	 "it again\n"
	 "-- with safe_migrate.add_constraint_safely()"},

	// ---- whole tables
	{Cause::vacuum_full, "vacuum-full", reject, by_work,
	 "the table and its indexes are written anew under a lock that stops reads and writes", nullptr,
	 "VACUUM {relation};"},
	{Cause::cluster, "cluster", reject, by_work,
	 "the table and its indexes are written anew under a lock that stops reads and writes", nullptr,
	 nullptr},
	{Cause::set_logged, "set-logged", reject, by_work,
	 "the table and its indexes are written anew under a lock that stops reads and writes", nullptr,
	 nullptr},
	{Cause::set_access_method, "set-access-method", reject, by_work,
	 "the table and its indexes are written anew under a lock that stops reads and writes", nullptr,
	 nullptr},
	{Cause::set_tablespace, "set-tablespace", reject, by_work,
	 "its files are copied under a lock that stops reads and writes", nullptr, nullptr},
	{Cause::refresh_materialized_view, "refresh-materialized-view", reject, by_work,
	 "the view is filled anew under a lock that stops reads", nullptr,
	 "REFRESH MATERIALIZED VIEW CONCURRENTLY {relation}; -- it needs a unique index"},
	{Cause::truncate, "truncate", reject, always, "all rows are lost", nullptr,
	 "-- delete the rows in batches: safe_migrate.delete_safely({relation_literal}, 'true')"},
	{Cause::drop_table, "drop-table", reject, always, "the table and its rows are lost",
	 "SELECT safe_migrate.drop_table_safely({relation_literal}); -- which needs an override, too",
	 drop_later},
	{Cause::drop_column, "drop-column", reject, always, "the column and its values are lost",
	 "SELECT safe_migrate.drop_column_safely({relation_literal}, {column_name_literal}); "
	 "-- which needs an override, too",
	 drop_later},
	{Cause::drop_cascade, "drop-cascade", reject, always,
	 "CASCADE takes along what the statement does not name", nullptr,
	 "-- drop what depends on it first, each by its name"},

	// ---- names
	{Cause::rename_table, "rename-table", warn, always,
	 "clients that use the old name fail from the commit on", nullptr,
	 "-- in the transaction of the renaming:\n"
	 "CREATE VIEW {relation} AS SELECT * FROM …; -- by its new name, until no client uses the old"},
	{Cause::rename_column, "rename-column", warn, always,
	 "clients that use the old name fail from the commit on", nullptr,
	 "-- a new column, kept up to date by a trigger, then\n"
	 "SELECT safe_migrate.backfill({relation_literal}, 'new_name = old_name');\n"
	 "-- then let the application use the new name, and drop the old column"},
	{Cause::rename_other, "rename-other", warn, always,
	 "clients that use the old name fail from the commit on", nullptr, nullptr},
	{Cause::drop_other, "drop-other", warn, always, "clients that use it fail from the commit on",
	 nullptr, drop_later},

	// ---- domains and enums
	{Cause::domain_constraint, "domain-constraint", reject, by_work,
	 "all tables with a column of the domain are scanned under a lock that stops writes", nullptr,
	 "-- a CHECK on each of the columns: ADD CHECK … NOT VALID, then VALIDATE CONSTRAINT"},
	{Cause::domain_validate, "domain-validate", reject, by_work,
	 "all tables with a column of the domain are scanned under a lock that stops writes", nullptr,
	 "-- a CHECK on each of the columns: ADD CHECK … NOT VALID, then VALIDATE CONSTRAINT"},
	{Cause::enum_rename_value, "enum-rename-value", warn, always,
	 "clients that use the old value fail from the commit on", nullptr,
	 "-- add the new value, let the application use both, then move the rows by\n"
	 "-- safe_migrate.backfill()"},

	// ---- rows
	{Cause::update_without_where, "update-without-where", reject, always,
	 "each row of the table is written in one transaction, and stays locked to its end",
	 "SELECT safe_migrate.backfill({relation_literal}, {assignments_literal}, "
	 "{unassigned_literal});",
	 "-- in batches: SELECT safe_migrate.backfill({relation_literal}, …);"},
	{Cause::delete_without_where, "delete-without-where", reject, always,
	 "each row of the table is deleted in one transaction",
	 "SELECT safe_migrate.delete_safely({relation_literal}, {all_rows_literal});",
	 "-- in batches: SELECT safe_migrate.delete_safely({relation_literal}, …);"},
	{Cause::too_many_rows, "too-many-rows", reject, always,
	 "it would touch more rows than safe_migrate.max_rows_per_statement allows", nullptr,
	 "-- in batches: safe_migrate.backfill() or safe_migrate.delete_safely()"},

	// ---- the statement in its transaction or script
	{Cause::invalid_index_skipped, "invalid-index-skipped", warn, always,
	 "IF NOT EXISTS skips over an invalid index of that name, which no query uses", nullptr,
	 "DROP INDEX CONCURRENTLY {object_path};\n{statement};"},
	{Cause::published_table, "published-table", warn, always,
	 "the column is published at once: subscribers that have it not stop at the first row", nullptr,
	 "-- on the subscribers first:\n{statement};"},
	{Cause::several_strong_locks, "several-strong-locks", warn, always,
	 "the transaction holds strong locks on several tables up to its end", nullptr,
	 "COMMIT; -- then, in a transaction of its own:\n{statement};"},
	{Cause::work_after_strong_lock, "work-after-strong-lock", warn, always,
	 "strong locks of the transaction's earlier statements are held as long as this one takes",
	 nullptr, "COMMIT; -- then, in a transaction of its own:\n{statement};"},
	{Cause::validate_in_same_transaction, "validate-in-same-transaction", reject, always,
	 "the constraint is verified while the transaction still holds the lock that adding it took",
	 nullptr, "COMMIT; -- then, in a transaction of its own:\n{statement};"},
	{Cause::prepare_with_strong_lock, "prepare-with-strong-lock", reject, always,
	 "a prepared transaction holds its strong locks until somebody ends it", nullptr, "COMMIT;"},
	{Cause::depends_on_earlier_statement, "depends-on-earlier-statement", warn, always,
	 "what it does depends on an earlier statement of the script", nullptr, nullptr},
	{Cause::move_to_exempt, "move-to-exempt", reject, always,
	 "a policy exempts what is there from the guard, and only who may call set_policy() may say so "
	 "of "
	 "a table",
	 nullptr,
	 "-- a copy to work on: CREATE TABLE … AS SELECT * FROM {relation};\n"
	 "-- or let who may call safe_migrate.set_policy() move it"},
};

constexpr bool in_order()
{
	if (sizeof rules / sizeof rules[0] != n_rules)
		return false;
	for (int i = 0; i < n_rules; i++)
		if (static_cast<int>(rules[i].cause) != i)
			return false;
	return true;
}
static_assert(in_order(), "the rules stand in the order of statement::Cause");

constexpr bool is_kebab_case(std::string_view name)
{
	for (char c : name)
		if (c != '-' && (c < 'a' || c > 'z'))
			return false;
	return !name.empty() && name.front() != '-' && name.back() != '-';
}

constexpr bool well_named()
{
	for (int i = 0; i < n_rules; i++) {
		if (!is_kebab_case(rules[i].name))
			return false;
		for (int j = 0; j < i; j++)
			if (std::string_view(rules[i].name) == rules[j].name)
				return false;
	}
	return true;
}
static_assert(well_named());

constexpr std::string_view level_names[] = {"allow", "warn", "reject"};

std::string_view trimmed(std::string_view text)
{
	constexpr std::string_view space = " \t\n\r\f\v";
	size_t first = text.find_first_not_of(space);
	if (first == std::string_view::npos)
		return {};
	return text.substr(first, text.find_last_not_of(space) - first + 1);
}

const Rule *find(std::string_view name)
{
	for (const Rule &rule : rules)
		if (name == rule.name)
			return &rule;
	return nullptr;
}

bool find_level(std::string_view name, Level *level)
{
	for (int i = 0; i < 3; i++)
		if (name == level_names[i]) {
			*level = static_cast<Level>(i);
			return true;
		}
	return false;
}

} // namespace

const Rule &rule_of(Cause cause) { return rules[static_cast<int>(cause)]; }

const Rule *find_rule(const char *name) { return find(name); }

const char *name_of(Level level) { return level_names[static_cast<int>(level)].data(); }

BadLevels parse_levels(const char *text, RuleLevels *levels, const char **at, int *length)
{
	std::string_view rest = text;
	bool another = !trimmed(rest).empty();
	while (another) {
		size_t comma = rest.find(',');
		another = comma != std::string_view::npos;
		std::string_view item = trimmed(rest.substr(0, comma));
		rest.remove_prefix(another ? comma + 1 : rest.size());

		size_t equals = item.find('=');
		std::string_view name = trimmed(item.substr(0, equals));
		std::string_view word =
			equals == std::string_view::npos ? "" : trimmed(item.substr(equals + 1));
		const Rule *rule = find(name);
		Level level = {};
		bool known = find_level(word, &level);
		std::string_view wrong = rule == nullptr ? name : word;
		*at = wrong.data();
		*length = static_cast<int>(wrong.size());
		if (item.empty() || equals == std::string_view::npos)
			return BadLevels::syntax;
		if (rule == nullptr)
			return BadLevels::rule;
		if (!known)
			return BadLevels::level;
		levels->level[static_cast<int>(rule->cause)] = static_cast<int8_t>(level);
	}
	return BadLevels::no;
}

} // namespace safe_migrate::guard
