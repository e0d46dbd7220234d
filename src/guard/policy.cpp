// Policies of relations and schemas: see policy.hpp.  The cache follows attoptcache.c; the table is
// read as systable_beginscan() reads catalogs, with the catalog snapshot.
#include "guard/policy.hpp"

#include "guard/rule_settings.hpp"
#include "settings.hpp"
#include "statement/relations.hpp"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xlog.h"
#include "catalog/dependency.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
}

namespace safe_migrate::guard {

namespace {

constexpr int unset = -1;

// Columns of safe_migrate.policy.
enum Column : int {
	column_relation = 1,
	column_schema_name,
	column_schema_oid,
	column_made_in,
	column_mode,
	column_small_table_size,
	column_rule_levels,
	column_ddl_lock_try,
	column_ddl_lock_retry,
	column_ddl_lock_timeout,
	column_max_lock_hold,
};

constexpr Oid column_types[] = {REGCLASSOID, NAMEOID, OIDOID,  TEXTOID, TEXTOID, INT8OID,
								TEXTOID,	 INT4OID, INT4OID, INT4OID, INT4OID};

enum class Mode : uint8_t { unset, normal, strict, exempt };

struct Entry {
	Oid relation; // 0: of the schema
	Oid schema;	  // 0: of the one of that name
	NameData schema_name;
	Mode mode;
	int64 small_table_bytes;
	bool has_levels;
	RuleLevels levels;
	LockBudget budget; // unset where it says nothing
};

MemoryContext cache_memory = nullptr;
Entry *entries = nullptr; // by relation
int n_entries = 0;
bool cache_valid = false;
uint64 changes = 0;			   // that may be of the table
Oid policy_table = InvalidOid; // of this database's extension, as it was found last

void on_relcache_change(Datum, Oid relation)
{
	if (relation != InvalidOid && relation != policy_table)
		return;
	cache_valid = false;
	changes++;
}

// The extension's table, InvalidOid where the extension is absent.
Oid find_policy_table()
{
	Oid schema = get_namespace_oid("safe_migrate", true);
	Oid table = OidIsValid(schema) ? get_relname_relid("policy", schema) : InvalidOid;
	if (!OidIsValid(table) || table == policy_table)
		return table;
	Oid owner = getExtensionOfObject(RelationRelationId, table);
	if (!OidIsValid(owner) || owner != get_extension_oid("safe_migrate", true))
		return InvalidOid;
	policy_table = table;
	cache_valid = false;
	return table;
}

// The table is that of the script that made it, which may be older or newer than the library.
void check_columns(TupleDesc columns)
{
	for (int i = 0; i < static_cast<int>(lengthof(column_types)); i++)
		if (i >= columns->natts || TupleDescAttr(columns, i)->atttypid != column_types[i])
			elog(ERROR, "safe_migrate.policy is not as this version of the library knows it");
}

int int_or_unset(const Datum *values, const bool *nulls, Column column)
{
	return nulls[column - 1] ? unset : DatumGetInt32(values[column - 1]);
}

Mode mode_from(const char *word)
{
	return strcmp(word, "strict") == 0	 ? Mode::strict
		   : strcmp(word, "exempt") == 0 ? Mode::exempt
										 : Mode::normal;
}

Entry entry_from(const Datum *values, const bool *nulls)
{
	Entry entry = {};
	if (!nulls[column_relation - 1])
		entry.relation = DatumGetObjectId(values[column_relation - 1]);
	if (!nulls[column_schema_name - 1])
		entry.schema_name = *DatumGetName(values[column_schema_name - 1]);
	if (!nulls[column_made_in - 1] && !nulls[column_schema_oid - 1] &&
		strcmp(TextDatumGetCString(values[column_made_in - 1]), policy_home()) == 0)
		entry.schema = DatumGetObjectId(values[column_schema_oid - 1]);
	if (!nulls[column_mode - 1])
		entry.mode = mode_from(TextDatumGetCString(values[column_mode - 1]));
	entry.small_table_bytes = nulls[column_small_table_size - 1]
								  ? unset
								  : DatumGetInt64(values[column_small_table_size - 1]);
	entry.levels = no_levels();
	if (!nulls[column_rule_levels - 1]) {
		const char *at = nullptr;
		int length = 0;
		entry.has_levels = true; // what a later version no longer knows ends the list
		(void)parse_levels(TextDatumGetCString(values[column_rule_levels - 1]), &entry.levels, &at,
						   &length);
	}
	entry.budget = {int_or_unset(values, nulls, column_ddl_lock_try),
					int_or_unset(values, nulls, column_ddl_lock_retry),
					int_or_unset(values, nulls, column_ddl_lock_timeout),
					int_or_unset(values, nulls, column_max_lock_hold)};
	return entry;
}

int by_relation(const void *a, const void *b)
{
	Oid left = static_cast<const Entry *>(a)->relation;
	Oid right = static_cast<const Entry *>(b)->relation;
	return left < right ? -1 : left > right;
}

// What changes while it is read is read again the next time.
void fill_cache(Oid table)
{
	if (cache_memory == nullptr)
		cache_memory = AllocSetContextCreate(CacheMemoryContext, "safe_migrate policies",
											 ALLOCSET_SMALL_SIZES);
	MemoryContextReset(cache_memory);
	entries = nullptr;
	n_entries = 0;
	int capacity = 0;
	Relation rel = table_open(table, AccessShareLock);
	check_columns(RelationGetDescr(rel));
	uint64 changes_before = changes;
	int n_columns = RelationGetDescr(rel)->natts;
	auto *values = static_cast<Datum *>(palloc(n_columns * sizeof(Datum)));
	auto *nulls = static_cast<bool *>(palloc(n_columns * sizeof(bool)));
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, nullptr, 0, nullptr);
	HeapTuple tuple;
	while (HeapTupleIsValid(tuple = systable_getnext(scan))) {
		heap_deform_tuple(tuple, RelationGetDescr(rel), values, nulls);
		Entry entry = entry_from(values, nulls);
		if (n_entries == capacity) {
			capacity = std::max(8, capacity * 2);
			Size size = capacity * sizeof(Entry);
			entries = static_cast<Entry *>(entries ? repalloc(entries, size)
												   : MemoryContextAlloc(cache_memory, size));
		}
		entries[n_entries++] = entry;
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	if (n_entries > 1)
		qsort(entries, n_entries, sizeof(Entry), by_relation);
	cache_valid = changes == changes_before;
}

const Entry *entry_of(Oid relation)
{
	if (!OidIsValid(relation) || n_entries == 0)
		return nullptr;
	Entry key = {};
	key.relation = relation;
	return static_cast<const Entry *>(
		bsearch(&key, entries, n_entries, sizeof(Entry), by_relation));
}

// By its oid: whoever gives a schema the name of one that is gone gets no policy with it.  By its
// name where the policy came with a dump or by pg_upgrade.
const Entry *entry_of_schema(Oid schema, const char *name)
{
	for (int i = 0; i < n_entries && entries[i].relation == InvalidOid; i++) {
		const Entry &entry = entries[i];
		if (OidIsValid(entry.schema) ? entry.schema == schema
									 : name && strcmp(NameStr(entry.schema_name), name) == 0)
			return &entry;
	}
	return nullptr;
}

// Policies that have a say, from the nearest on.  Entries of the cache: to be used at once, before
// anything is asked of the catalog.
struct Chain {
	const Entry **entry;
	int n;
};

// The table of an index or of TOAST, the relation itself and its partitioned parents upwards.
List *line_of(Oid relation)
{
	char kind = get_rel_relkind(relation);
	if (kind == RELKIND_INDEX || kind == RELKIND_PARTITIONED_INDEX)
		relation = IndexGetRelation(relation, true);
	if (const Oid table = statement::table_of_toast(relation); OidIsValid(table))
		relation = table;
	if (!OidIsValid(relation))
		return NIL;
	List *line = list_make1_oid(relation);
	return get_rel_relispartition(relation) ? list_concat(line, get_partition_ancestors(relation))
											: line;
}

// The policies that would have a say there; 0: it stays.
struct Place {
	Oid schema;
	Oid parent;
	bool alone; // no partition any more
};

Chain chain_of(Oid relation, const char *schema, Place place = {})
{
	Oid table = find_policy_table();
	if (!OidIsValid(table))
		return {};
	if (!cache_valid)
		fill_cache(table);
	if (n_entries == 0)
		return {}; // the usual case asks nothing of the catalog
	List *line = OidIsValid(relation) ? line_of(relation) : NIL;
	Oid schema_oid = line != NIL ? get_rel_namespace(linitial_oid(line))
					 : schema	 ? get_namespace_oid(schema, true)
								 : InvalidOid;
	if (OidIsValid(place.schema))
		schema_oid = place.schema;
	if (place.alone)
		line = list_truncate(line, 1);
	if (OidIsValid(place.parent))
		line = list_concat(line, line_of(place.parent));
	const char *schema_name = OidIsValid(schema_oid) ? get_namespace_name(schema_oid) : nullptr;
	if (!cache_valid)
		fill_cache(table);
	auto *chain =
		static_cast<const Entry **>(palloc((list_length(line) + 1) * sizeof(const Entry *)));
	int n = 0;
	ListCell *cell;
	foreach (cell, line) {
		if (const Entry *entry = entry_of(lfirst_oid(cell)))
			chain[n++] = entry;
	}
	if (const Entry *entry = entry_of_schema(schema_oid, schema_name))
		chain[n++] = entry;
	return {chain, n};
}

Policy policy_from(const Chain &chain)
{
	Policy policy =
		default_policy(static_cast<int64>(settings::small_table_size) * 1024, *session_levels());
	for (int i = chain.n - 1; i >= 0; i--) {
		const Entry &entry = *chain.entry[i];
		if (entry.has_levels)
			apply_levels(&policy, entry.levels);
		if (entry.small_table_bytes != unset)
			policy.small_table_bytes = entry.small_table_bytes;
		if (entry.mode != Mode::unset) {
			policy.strict = entry.mode == Mode::strict;
			policy.exempt = entry.mode == Mode::exempt;
		}
	}
	return policy;
}

LockBudget budget_from(const Chain &chain)
{
	LockBudget budget = {settings::ddl_lock_try, settings::ddl_lock_retry,
						 settings::ddl_lock_timeout, settings::max_lock_hold};
	for (int i = chain.n - 1; i >= 0; i--) {
		const LockBudget &own = chain.entry[i]->budget;
		if (own.lock_try != unset)
			budget.lock_try = own.lock_try;
		if (own.lock_retry != unset)
			budget.lock_retry = own.lock_retry;
		if (own.lock_timeout != unset)
			budget.lock_timeout = own.lock_timeout;
		if (own.max_hold != unset)
			budget.max_hold = own.max_hold;
	}
	return budget;
}

// 0 = without limit.
int tighter_hold(int a, int b) { return a == 0 ? b : b == 0 ? a : std::min(a, b); }

} // namespace

char *policy_home() { return psprintf(UINT64_FORMAT "/%u", GetSystemIdentifier(), MyDatabaseId); }

bool extension_is_here() { return OidIsValid(find_policy_table()); }

Policy policy_for(Oid relation) { return policy_from(chain_of(relation, nullptr)); }

Policy policy_for(const statement::Finding &finding)
{
	return policy_from(chain_of(finding.relation, finding.schema));
}

bool would_be_exempt(const statement::Finding &finding)
{
	const Place place = {finding.to_schema, finding.to_parent, finding.leaves_parent};
	return policy_from(chain_of(finding.relation, finding.schema, place)).exempt;
}

LockBudget budget_for(const statement::Effects *effects)
{
	bool first = true;
	LockBudget budget = {settings::ddl_lock_try, settings::ddl_lock_retry,
						 settings::ddl_lock_timeout, settings::max_lock_hold};
	for (int i = 0; i < effects->n; i++) {
		const statement::Finding &finding = effects->findings[i];
		if (!statement::is_strong(finding.lock) || !OidIsValid(finding.relation))
			continue;
		LockBudget own = budget_from(chain_of(finding.relation, finding.schema));
		if (first) {
			budget = own;
			first = false;
			continue;
		}
		budget.lock_try = std::min(budget.lock_try, own.lock_try);
		budget.lock_retry = std::min(budget.lock_retry, own.lock_retry);
		budget.lock_timeout = std::min(budget.lock_timeout, own.lock_timeout);
		budget.max_hold = tighter_hold(budget.max_hold, own.max_hold);
	}
	return budget;
}

int max_hold_for(Oid relation) { return budget_from(chain_of(relation, nullptr)).max_hold; }

void install_policy_cache() { CacheRegisterRelcacheCallback(on_relcache_change, 0); }

Oid policy_table_oid() { return find_policy_table(); }

} // namespace safe_migrate::guard
