// create_index_safely(): concurrently; of a partitioned table first the empty frame on every level,
// then each leaf, then one attached to the other from the deepest up.
#include "operations/ddl/sql.hpp"
#include "operations/ddl/target.hpp"
#include "operations/index/steps.hpp"
#include "pg/boundary.hpp"
#include "statement/index_match.hpp"
#include "statement/relations.hpp"

extern "C" {
#include "access/relation.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/partition.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
}

namespace safe_migrate::operations::index {

using ddl::literal;
using ddl::quoted_name;
using statement::Lock;

namespace {

// The index of one table of the tree, there or to be built.
struct Part {
	Oid table;
	Oid parent; // InvalidOid of the root
	const char *name;
	bool partitioned;
	bool exists;   // a matching one is there, with all below it
	bool frame;	   // one is there that lacks partitions, which are added
	bool attached; // and is the parent's already
	bool framed;   // the parent's is there before, or made before: it does not come as a whole
	Oid index;	   // what is there
};

char *index_name(const Part &part)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(part.table)), part.name);
}

// Keys that occur more than once, for the error of a unique index.
char *duplicates_query(const Definition &definition, Oid relation)
{
	StringInfoData keys, shown, filled;
	initStringInfo(&keys);
	initStringInfo(&shown);
	initStringInfo(&filled);
	ListCell *cell;
	foreach (cell, definition.keys) {
		const char *key = static_cast<const char *>(lfirst(cell));
		appendStringInfo(&keys, "%s%s", keys.len > 0 ? ", " : "", key);
		appendStringInfo(&shown, "%scoalesce((%s)::text, 'null')", shown.len > 0 ? ", " : "", key);
		appendStringInfo(&filled, "%s%s IS NOT NULL", filled.len > 0 ? " AND " : "", key);
	}
	return psprintf("SELECT k FROM (SELECT %s || concat_ws(', ', %s) || ')' AS k FROM ONLY %s "
					"WHERE %s%s%s GROUP "
					"BY %s HAVING count(*) > 1 ORDER BY %s LIMIT 10) d",
					literal(psprintf("(%s)=(", keys.data)), shown.data, quoted_name(relation),
					definition.parsed->nulls_not_distinct ? "true" : filled.data,
					definition.predicate ? " AND " : "",
					definition.predicate ? definition.predicate : "", keys.data, keys.data);
}

// What is there already nobody wants dropped.
Existing look_for(const ddl::RecipeStep &step)
{
	Oid found;
	return compare_existing(step.sql, &found);
}

void add_leaf_step(ddl::Recipe *recipe, const Definition &definition, const Part &part)
{
	ddl::check_may_create_beside(part.table);
	ddl::need_owner(recipe, part.table);
	ddl::RecipeStep *step = ddl::add_step(
		recipe, "build index", create_statement(definition, part.name, part.table, true));
	ddl::add_lock(step, part.table, Lock::share_update_exclusive);
	ddl::expect_relation(step, part.table);
	step->effect = statement::Effect::index_build;
	step->bytes = statement::heap_bytes(part.table);
	// (it goes with a constraint or a parent that took it)
	if (look_for(*step) != Existing::same)
		step->undo = psprintf("DROP INDEX CONCURRENTLY IF EXISTS %s", index_name(part));
	if (definition.parsed->unique)
		step->sample_query = duplicates_query(definition, part.table);
}

void add_only_step(ddl::Recipe *recipe, const Definition &definition, const Part &part)
{
	ddl::check_may_create_beside(part.table);
	ddl::need_owner(recipe, part.table);
	ddl::RecipeStep *step = ddl::add_step(
		recipe, "index frame", create_statement(definition, part.name, part.table, false));
	ddl::add_lock(step, part.table, Lock::share);
	ddl::expect_relation(step, part.table);
	if (look_for(*step) == Existing::none)
		step->undo = psprintf("DROP INDEX IF EXISTS %s", index_name(part));
}

// What is attached goes with its parent only; an index that was there before would go, too.
bool takes_others(const List *parts)
{
	ListCell *cell;
	foreach (cell, parts)
		if (OidIsValid(static_cast<const Part *>(lfirst(cell))->index))
			return true;
	return false;
}

const Part *find_part(const List *parts, Oid table)
{
	ListCell *cell;
	foreach (cell, parts) {
		const auto *part = static_cast<const Part *>(lfirst(cell));
		if (part->table == table)
			return part;
	}
	return nullptr;
}

// One that lacks partitions; a constraint's can have none that are none.
Oid find_frame(Oid table, const statement::IndexShape &wanted)
{
	Oid index = statement::find_matching_index(table, wanted, false);
	return OidIsValid(index) && !OidIsValid(get_index_constraint(index)) ? index : InvalidOid;
}

// What the table has of it.
void find_own(Part *part, const Part *parent, const statement::IndexShape &wanted)
{
	part->index = part_of_index(part->table, parent ? parent->index : InvalidOid);
	part->attached = OidIsValid(part->index);
	if (!part->attached && parent)
		part->index = statement::find_matching_index(part->table, wanted, true);
	if (!OidIsValid(part->index) && parent && part->partitioned)
		part->index = find_frame(part->table, wanted);
	bool valid = OidIsValid(part->index) && is_valid_index(part->index);
	part->exists = valid || (part->attached && !part->partitioned);
	part->frame = part->partitioned && OidIsValid(part->index) && !valid;
	part->framed = !parent || parent->framed || parent->frame;
}

const char *new_name(const Part &part, const Definition &definition, const char *label, List *taken)
{
	Relation table = table_open(part.table, AccessShareLock);
	const char *name = choose_partition_name(table, definition, label, taken);
	table_close(table, NoLock);
	return name;
}

// The tables in the order of find_all_inheritors(): parents before their children.
List *find_parts(const Definition &definition, const char *root_name, const char *label,
				 bool as_whole)
{
	List *parts = NIL;
	List *taken = list_make1(taken_name(definition.relation, root_name));
	Relation root = table_open(definition.relation, AccessShareLock);
	statement::IndexShape wanted =
		statement::shape_of_statement(root, definition.parsed, root_name);
	ListCell *cell;
	foreach (cell, statement::with_descendants(definition.relation)) {
		auto *part = static_cast<Part *>(palloc0(sizeof(Part)));
		part->table = lfirst_oid(cell);
		char kind = get_rel_relkind(part->table);
		if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
			continue;
		bool is_root = part->table == definition.relation;
		part->partitioned = kind == RELKIND_PARTITIONED_TABLE;
		part->parent = is_root ? InvalidOid : get_partition_parent(part->table, true);
		find_own(part, find_part(parts, part->parent), wanted);
		part->framed = is_root ? !as_whole : part->framed;
		part->name = OidIsValid(part->index) ? get_rel_name(part->index)
					 : is_root				 ? root_name
											 : new_name(*part, definition, label, taken);
		taken = lappend(taken, taken_name(part->table, part->name));
		parts = lappend(parts, part);
	}
	table_close(root, NoLock);
	return parts;
}

// Below a partition whose index exists all have theirs.
bool is_covered(const List *parts, const Part *part)
{
	for (; part; part = find_part(parts, part->parent))
		if (part->exists)
			return true;
	return false;
}

// An index made ONLY never becomes valid where a partition can have none
// (validatePartitionedIndex()), and only its owner can make one of a partition.  Made as a whole,
// once each leaf has its own, it builds nothing.
bool must_be_whole(Oid root)
{
	ListCell *cell;
	foreach (cell, statement::with_descendants(root)) {
		char kind = get_rel_relkind(lfirst_oid(cell));
		if (kind == RELKIND_FOREIGN_TABLE ||
			(kind == RELKIND_PARTITIONED_TABLE && !ddl::is_own(lfirst_oid(cell))))
			return true;
	}
	return false;
}

void add_whole_step(ddl::Recipe *recipe, const Definition &definition, const Part &root)
{
	char *table = quoted_name(definition.relation);
	ddl::RecipeStep *step = ddl::add_step(
		recipe, "index frame",
		psprintf("CREATE INDEX %s ON %s %s", quote_identifier(root.name), table, definition.body));
	ddl::add_lock(step, definition.relation, Lock::share);
	step->descend = true;
	ddl::expect_relation(step, definition.relation);
	step->undo = psprintf("DROP INDEX IF EXISTS %s", index_name(root));
}

void add_partitioned_steps(ddl::Recipe *recipe, const Definition &definition, const char *name,
						   const char *label)
{
	bool as_whole = must_be_whole(definition.relation);
	List *parts = find_parts(definition, name, label, as_whole);
	const auto *root = static_cast<const Part *>(linitial(parts));
	Oid found;
	bool is_new = compare_existing(create_statement(definition, name, root->table, false),
								   &found) == Existing::none;
	int first = list_length(recipe->steps);
	ListCell *cell;
	foreach (cell, parts) {
		const auto *part = static_cast<const Part *>(lfirst(cell));
		if (part->partitioned && part->framed && !part->frame && !is_covered(parts, part))
			add_only_step(recipe, definition, *part);
	}
	foreach (cell, parts) {
		const auto *part = static_cast<const Part *>(lfirst(cell));
		if (!part->partitioned && !is_covered(parts, part))
			add_leaf_step(recipe, definition, *part);
	}
	for (int i = list_length(parts) - 1; i > 0; i--) {
		const auto *part = static_cast<const Part *>(list_nth(parts, i));
		const Part *parent = find_part(parts, part->parent);
		if (!parent || !part->framed || part->attached || is_covered(parts, parent))
			continue;
		add_attach_step(recipe, index_name(*parent), index_name(*part), parent->table)->undo =
			psprintf("DROP INDEX IF EXISTS %s", index_name(*parent));
		is_new = is_new && !OidIsValid(part->index) && !OidIsValid(parent->index);
		if (!is_new)
			ddl::end_undo(recipe, first);
	}
	if (as_whole)
		add_whole_step(recipe, definition, *root);
	if (as_whole && takes_others(parts))
		ddl::end_undo(recipe, first);
}

} // namespace

bool is_valid_index(Oid oid)
{
	Relation index = relation_open(oid, AccessShareLock);
	bool valid = index->rd_index->indisvalid;
	relation_close(index, NoLock);
	return valid;
}

Oid part_of_index(Oid table, Oid index)
{
	Relation relation = table_open(table, AccessShareLock);
	Oid part = OidIsValid(index) ? index_get_partition(relation, index) : InvalidOid;
	table_close(relation, NoLock);
	return part;
}

ddl::RecipeStep *add_attach_step(ddl::Recipe *recipe, const char *parent, const char *part,
								 Oid table)
{
	ddl::need_owner(recipe, table);
	ddl::RecipeStep *step = ddl::add_step(
		recipe, "statement", psprintf("ALTER INDEX %s ATTACH PARTITION %s", parent, part));
	ddl::add_lock(step, table, Lock::access_share);
	ddl::expect_relation(step, table);
	step->done = psprintf("SELECT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass(%s) "
						  "AND inhparent = to_regclass(%s))",
						  literal(part), literal(parent));
	return step;
}

void add_create_steps(ddl::Recipe *recipe, const Definition &definition, const char *name,
					  const char *label)
{
	const RangeVar *target = definition.parsed->relation;
	Part whole = {};
	whole.table = definition.relation;
	whole.name = name;
	if (get_rel_relkind(definition.relation) != RELKIND_PARTITIONED_TABLE)
		add_leaf_step(recipe, definition, whole);
	else if (target && !target->inh) // ONLY
		add_only_step(recipe, definition, whole);
	else
		add_partitioned_steps(recipe, definition, name, label);
	if (definition.has_expression) { // the planner knows nothing of it before
		char *table = quoted_name(definition.relation);
		ddl::RecipeStep *step = ddl::add_step(recipe, "statement", psprintf("ANALYZE %s", table));
		ddl::add_lock(step, definition.relation, Lock::share_update_exclusive);
		ddl::expect_relation(step, definition.relation);
		step->caller_path = true;
		step->effect = statement::Effect::scan;
	}
}

namespace {

const char *name_of(const Definition &definition)
{
	if (definition.parsed->idxname)
		return definition.parsed->idxname;
	Relation relation = relation_open(definition.relation, AccessShareLock);
	const char *name = choose_name(relation, definition.column_names, "idx", NIL);
	relation_close(relation, NoLock);
	return name;
}

// What has the name now: another relation is an error, or, with IF NOT EXISTS, a notice.
Existing look_for_name(const Definition &definition, const char *name)
{
	Oid found;
	Existing existing =
		compare_existing(create_statement(definition, name, definition.relation, false), &found);
	if (existing != Existing::different)
		return existing;
	if (!definition.parsed->if_not_exists)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_TABLE), errmsg("relation \"%s\" already exists", name)));
	ereport(NOTICE, (errcode(ERRCODE_DUPLICATE_TABLE),
					 errmsg("relation \"%s\" already exists, skipping", name)));
	return existing;
}

} // namespace

void check_name(const Definition &definition, const char *name)
{
	(void)look_for_name(definition, name);
}

bool takes_others(const Definition &definition)
{
	const RangeVar *target = definition.parsed->relation;
	return get_rel_relkind(definition.relation) == RELKIND_PARTITIONED_TABLE &&
		   (!target || target->inh) &&
		   takes_others(find_parts(definition, name_of(definition), "idx", true));
}

bool is_to_be_made(const Definition &definition)
{
	return look_for_name(definition, name_of(definition)) == Existing::none;
}

void add_statement_steps(ddl::Recipe *recipe, const Definition &definition)
{
	const char *name = name_of(definition);
	if (look_for_name(definition, name) != Existing::different)
		add_create_steps(recipe, definition, name, "idx");
}

namespace {

// The call, normalised: its own name of the index, not one that was chosen.
char *call_text(const Definition &definition)
{
	const IndexStmt *parsed = definition.parsed;
	return psprintf("CREATE %sINDEX %s%sON %s%s %s", parsed->unique ? "UNIQUE " : "",
					parsed->idxname ? quote_identifier(parsed->idxname) : "",
					parsed->idxname ? " " : "", parsed->relation->inh ? "" : "ONLY ",
					quoted_name(definition.relation), definition.body);
}

char *plain_statement(const Definition &definition, const char *name)
{
	return psprintf("CREATE %sINDEX %s ON %s%s %s", definition.parsed->unique ? "UNIQUE " : "",
					quote_identifier(name), definition.parsed->relation->inh ? "" : "ONLY ",
					quoted_name(definition.relation), definition.body);
}

jobs::JobId create_index(const char *text, const Options &options)
{
	Definition definition = read_definition(text);
	ddl::Recipe recipe =
		ddl::new_recipe("create_index", definition.relation, call_text(definition));
	jobs::JobId id = ddl::find_earlier(recipe, options);
	if (id != 0)
		return id;
	const char *name = name_of(definition);
	Existing existing = look_for_name(definition, name);
	if (existing == Existing::none)
		recipe.plain = list_make1(plain_statement(definition, name));
	if (existing != Existing::different)
		add_create_steps(&recipe, definition, name, "idx");
	return ddl::carry_out(recipe, options);
}

} // namespace

} // namespace safe_migrate::operations::index

SAFE_MIGRATE_OPERATION(safe_migrate_create_index_safely)
{
	using namespace safe_migrate::operations;
	begin_call(fcinfo, "create_index_safely()", {"definition"});
	PG_RETURN_INT64(
		index::create_index(text_to_cstring(PG_GETARG_TEXT_PP(0)), read_options(fcinfo, 1)));
}
