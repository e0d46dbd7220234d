// The overlay's memory: names, relations, columns, and what names mean by now.  See overlay.hpp.
#include <algorithm>

#include "pg/compat_analysis.hpp"
#include "pg/guc.hpp"
#include "statement/overlay/answer.hpp"
#include "statement/overlay/overlay.hpp"

extern "C" {
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "nodes/makefuncs.h"
#include "nodes/value.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/varlena.h"
}

namespace safe_migrate::statement::overlay {

namespace {

struct NameKey {
	char schema[NAMEDATALEN];
	char name[NAMEDATALEN];
};

struct NameEntry {
	NameKey key;
	ScriptRelation *relation; // nullptr: free now
	int changed_by;
};

struct OidEntry {
	Oid oid;
	ScriptRelation *relation;
};

struct ObjectEntry {
	char name[NAMEDATALEN];
	int changed_by;
	ObjectKind kind;
};

HTAB *make_table(const Overlay *overlay, const char *name, Size key, Size entry, int kind)
{
	HASHCTL control = {};
	control.keysize = key;
	control.entrysize = entry;
	control.hcxt = overlay->memory;
	return hash_create(name, 64, &control, HASH_ELEM | HASH_CONTEXT | kind);
}

ObjectEntry *note_name(const Overlay *overlay, HTAB *table, const char *name)
{
	char key[NAMEDATALEN] = {};
	strlcpy(key, name ? name : "", NAMEDATALEN);
	auto *entry = static_cast<ObjectEntry *>(hash_search(table, key, HASH_ENTER, nullptr));
	entry->changed_by = overlay->statement_no;
	return entry;
}

NameKey key_of(const char *schema, const char *name)
{
	NameKey key = {};
	// (no name: what it was of has been dropped by another session meanwhile)
	strlcpy(key.schema, schema ? schema : "", NAMEDATALEN);
	strlcpy(key.name, name ? name : "", NAMEDATALEN);
	return key;
}

NameEntry *find_name(const Overlay *overlay, const char *schema, const char *name)
{
	NameKey key = key_of(schema, name);
	return static_cast<NameEntry *>(hash_search(overlay->by_name, &key, HASH_FIND, nullptr));
}

void put_name(Overlay *overlay, const char *schema, const char *name, ScriptRelation *relation)
{
	NameKey key = key_of(schema, name);
	auto *entry =
		static_cast<NameEntry *>(hash_search(overlay->by_name, &key, HASH_ENTER, nullptr));
	entry->relation = relation;
	entry->changed_by = overlay->statement_no;
	(void)note_name(overlay, overlay->names, name);
	overlay->changes = true;
}

int changed_by(HTAB *table, const char *name)
{
	auto *entry = static_cast<ObjectEntry *>(hash_search(table, name, HASH_FIND, nullptr));
	return entry != nullptr ? entry->changed_by : 0;
}

// As recomputeNamespacePath() reads it, but schemas that the script will have made stay in.
List *split_search_path(const char *value)
{
	List *names = NIL;
	char *raw = pstrdup(value);
	if (!SplitIdentifierString(raw, ',', &names))
		return NIL;
	ListCell *cell;
	foreach (cell, names) {
		if (strcmp(static_cast<char *>(lfirst(cell)), "$user") == 0)
			lfirst(cell) = GetUserNameFromId(GetUserId(), false);
	}
	return names;
}

void read_search_path(Overlay *overlay)
{
	MemoryContext caller = MemoryContextSwitchTo(overlay->memory);
	overlay->search_path = split_search_path(namespace_search_path);
	MemoryContextSwitchTo(caller);
}

constexpr char temporary_schema[] = "pg_temp";

// The schema's name under which the overlay keeps it.
const char *schema_key(const char *schema)
{
	return schema && strncmp(schema, "pg_temp", 7) == 0 ? temporary_schema : schema;
}

// What the name means by now; false: nothing that the catalog wouldn't know as well.
bool find_changed(const NameSource *source, const RangeVar *name, bool missing_ok, Target *target)
{
	auto *overlay = static_cast<const Overlay *>(source);
	Named named = resolve(overlay, name);
	if (!missing_ok)
		insist_on(overlay, name, named);
	if (!named.exists())
		return named.gone_by != 0;
	target->relation = named.oid;
	if (named.script == nullptr) { // perhaps behind one that is gone
		target->schema = get_namespace_name(get_rel_namespace(named.oid));
		target->name = get_rel_name(named.oid);
		if (target->schema && target->name)
			return true;
		target->relation = InvalidOid; // dropped meanwhile
		return false;
	}
	target->created_by = named.script->created_by;
	target->schema = named.script->schema;
	target->name = named.script->name;
	return true;
}

ScriptRelation *new_relation(Overlay *overlay)
{
	return static_cast<ScriptRelation *>(
		MemoryContextAllocZero(overlay->memory, sizeof(ScriptRelation)));
}

Named named(const Overlay *, const NameEntry *entry)
{
	if (entry->relation == nullptr)
		return {nullptr, InvalidOid, entry->changed_by};
	return {entry->relation, entry->relation->oid, 0};
}

Named named(const Overlay *overlay, Oid relation)
{
	return {find_record(overlay, relation), relation, 0};
}

} // namespace

// Nothing changed yet.
static void open_overlay(Overlay *overlay)
{
	overlay->memory = AllocSetContextCreate(overlay->parent_memory, "safe_migrate overlay",
											ALLOCSET_DEFAULT_SIZES);
	overlay->by_name = make_table(overlay, "names", sizeof(NameKey), sizeof(NameEntry), HASH_BLOBS);
	overlay->by_oid = make_table(overlay, "relations", sizeof(Oid), sizeof(OidEntry), HASH_BLOBS);
	overlay->names = make_table(overlay, "by name", NAMEDATALEN, sizeof(ObjectEntry), HASH_STRINGS);
	overlay->objects =
		make_table(overlay, "objects", NAMEDATALEN, sizeof(ObjectEntry), HASH_STRINGS);
	overlay->unseen = make_table(overlay, "unseen", NAMEDATALEN, sizeof(ObjectEntry), HASH_STRINGS);
	overlay->schemas = make_schemas(overlay->memory);
	overlay->guc_nest = NewGUCNestLevel();
	read_search_path(overlay);
}

Overlay *begin_script()
{
	auto *overlay = static_cast<Overlay *>(palloc0(sizeof(Overlay)));
	overlay->find = find_changed;
	overlay->parent_memory = CurrentMemoryContext;
	overlay->fails = static_cast<bool *>(palloc0(sizeof(bool)));
	overlay->by_path = static_cast<bool *>(palloc0(sizeof(bool)));
	overlay->memory = CurrentMemoryContext; // a ROLLBACK doesn't take this one away
	overlay->mentioned =
		make_table(overlay, "mentioned", NAMEDATALEN, sizeof(ObjectEntry), HASH_STRINGS);
	overlay->filled = make_table(overlay, "filled", sizeof(Oid), sizeof(FilledEntry), HASH_BLOBS);
	overlay->filled_names =
		make_table(overlay, "filled names", NAMEDATALEN, sizeof(ObjectEntry), HASH_STRINGS);
	open_overlay(overlay);
	return overlay;
}

void forget_changes(Overlay *overlay)
{
	end_script(overlay);
	memset(overlay->settings, 0, sizeof overlay->settings);
	memset(overlay->after_block, 0, sizeof overlay->after_block);
	overlay->casts_by = 0;
	overlay->typed_by = 0;
	overlay->objects_by = 0;
	overlay->publications_by = 0;
	overlay->storage_by = 0;
	overlay->unknown_by = 0;
	overlay->path_by = 0;
	overlay->rights_by = 0;
	overlay->functions = overlay->triggers = NIL;
	overlay->changes = hash_get_num_entries(overlay->filled) > 0 || overlay->fills_by != 0 ||
					   hash_get_num_entries(overlay->filled_names) > 0;
	open_overlay(overlay);
}

void end_script(Overlay *overlay)
{
	AtEOXact_GUC(true, overlay->guc_nest);
	MemoryContextDelete(overlay->memory);
}

void set_search_path(Overlay *overlay, const char *value)
{
	pg::try_in_level("search_path", value, PGC_USERSET);
	read_search_path(overlay);
}

namespace {

bool has_schema(const List *path, const char *schema)
{
	ListCell *cell;
	foreach (cell, path) {
		if (strcmp(static_cast<const char *>(lfirst(cell)), schema) == 0)
			return true;
	}
	return false;
}

// As recomputeNamespacePath(): the temporary schema and the catalog come first, unless the path
// says otherwise.
List *whole_path(const Overlay *overlay)
{
	List *path = list_copy(overlay->search_path);
	for (const char *implied : {"pg_catalog", temporary_schema})
		if (!has_schema(overlay->search_path, implied))
			path = lcons(const_cast<char *>(implied), path);
	return path;
}

int compare_names(const ListCell *a, const ListCell *b)
{
	return strcmp(static_cast<const ScriptRelation *>(lfirst(a))->name,
				  static_cast<const ScriptRelation *>(lfirst(b))->name);
}

} // namespace

Oid namespace_of(const Overlay *overlay, const char *schema)
{
	if (state_of_schema(overlay, schema).changed_by != 0)
		return InvalidOid;
	if (strcmp(schema, temporary_schema) != 0)
		return get_namespace_oid(schema, true);
	Oid space;
	Oid of_toast;
	GetTempNamespaceState(&space, &of_toast);
	return space;
}

List *relations_in(const Overlay *overlay, const char *schema)
{
	List *found = NIL;
	HASH_SEQ_STATUS scan;
	hash_seq_init(&scan, overlay->by_name);
	while (auto *entry = static_cast<NameEntry *>(hash_seq_search(&scan)))
		if (entry->relation != nullptr && strcmp(entry->key.schema, schema) == 0)
			found = lappend(found, entry->relation);
	list_sort(found, compare_names);
	return found;
}

namespace {

// recomputeNamespacePath() leaves out the schemas that the role may not use; the implied ones stay.
bool is_in_path(const Overlay *overlay, const char *schema)
{
	if (overlay->rights_by != 0 || !has_schema(overlay->search_path, schema))
		return true;
	const Oid space = namespace_of(overlay, schema_key(schema));
	const Oid role = role_by_now(overlay);
	return !OidIsValid(space) || !OidIsValid(role) || pg::has_schema_right(space, role, ACL_USAGE);
}

bool is_view_of(const ScriptRelation *view, const ScriptRelation *relation)
{
	return view != nullptr && (view->base == relation ||
							   (OidIsValid(relation->oid) && view->base_oid == relation->oid));
}

Named resolve_by_path(const Overlay *overlay, const char *name)
{
	Named found = {};
	ListCell *cell;
	foreach (cell, whole_path(overlay)) { // as RelnameGetRelid() goes along it
		auto *schema = static_cast<const char *>(lfirst(cell));
		if (!is_in_path(overlay, schema))
			continue;
		const NameEntry *entry = find_name(overlay, schema_key(schema), name);
		if (entry != nullptr && entry->relation != nullptr)
			return named(overlay, entry);
		if (entry != nullptr) {
			found.gone_by = entry->changed_by;
			continue;
		}
		Oid space = namespace_of(overlay, schema);
		Oid relation = OidIsValid(space) ? get_relname_relid(name, space) : InvalidOid;
		if (OidIsValid(relation))
			return named(overlay, relation);
	}
	return found;
}

// The catalog's, with the errors of the server's look for it, which end the analysis.
Oid find_in_schema(const Overlay *overlay, const RangeVar *name)
{
	if (!overlay->is_noting)
		return RangeVarGetRelid(name, NoLock, true);
	const Oid space =
		name->catalogname == nullptr ? namespace_of(overlay, schema_key(name->schemaname)) : 0;
	return OidIsValid(space) ? get_relname_relid(name->relname, space) : InvalidOid;
}

} // namespace

List *views_of(const Overlay *overlay, const ScriptRelation *relation)
{
	List *found = NIL;
	HASH_SEQ_STATUS scan;
	hash_seq_init(&scan, overlay->by_name);
	while (auto *entry = static_cast<NameEntry *>(hash_seq_search(&scan)))
		if (is_view_of(entry->relation, relation))
			found = lappend(found, entry->relation);
	return found;
}

Named resolve(const Overlay *overlay, const RangeVar *name)
{
	if (!overlay->changes)
		return {nullptr, RangeVarGetRelid(name, NoLock, true), 0};
	if (name->schemaname != nullptr) {
		const NameEntry *entry = find_name(overlay, schema_key(name->schemaname), name->relname);
		const SchemaState state = state_of_schema(overlay, name->schemaname);
		if (entry != nullptr)
			return named(overlay, entry);
		return state.changed_by != 0 ? Named{nullptr, InvalidOid, state.changed_by}
									 : named(overlay, find_in_schema(overlay, name));
	}
	const Named found = resolve_by_path(overlay, name->relname);
	// What was created by the same path, whatever it is, is found by it.
	if (overlay->path_by != 0 && !(found.is_new() && found.script->created_by > overlay->path_by))
		*overlay->by_path = true;
	return found;
}

const char *creation_schema(const Overlay *overlay, const RangeVar *name)
{
	if (name->relpersistence == RELPERSISTENCE_TEMP)
		return temporary_schema;
	if (name->schemaname != nullptr)
		return schema_key(name->schemaname);
	ListCell *cell;
	foreach (cell, overlay->search_path) {
		auto *schema = static_cast<const char *>(lfirst(cell));
		if (schema_exists(overlay, schema) && is_in_path(overlay, schema))
			return schema_key(schema);
	}
	return "";
}

bool is_taken(const Overlay *overlay, const char *schema, const char *name)
{
	if (const NameEntry *entry = find_name(overlay, schema_key(schema), name))
		return entry->relation != nullptr;
	const Oid space = *schema != '\0' ? namespace_of(overlay, schema_key(schema)) : InvalidOid;
	return OidIsValid(space) && OidIsValid(get_relname_relid(name, space));
}

RangeVar *range_var_of(const List *names)
{
	return makeRangeVarFromNameList(const_cast<List *>(names));
}

ScriptRelation *find_record(const Overlay *overlay, Oid relation)
{
	auto *entry =
		static_cast<OidEntry *>(hash_search(overlay->by_oid, &relation, HASH_FIND, nullptr));
	return entry != nullptr ? entry->relation : nullptr;
}

ScriptRelation *record_of(Overlay *overlay, Oid relation)
{
	bool found;
	auto *entry =
		static_cast<OidEntry *>(hash_search(overlay->by_oid, &relation, HASH_ENTER, &found));
	if (!found) {
		entry->relation = new_relation(overlay);
		entry->relation->oid = relation;
		const char *schema = get_namespace_name(get_rel_namespace(relation));
		const char *name = get_rel_name(relation);
		entry->relation->schema =
			MemoryContextStrdup(overlay->memory, schema != nullptr ? schema : "");
		entry->relation->name = MemoryContextStrdup(overlay->memory, name != nullptr ? name : "");
	}
	entry->relation->changed_by = overlay->statement_no;
	(void)note_name(overlay, overlay->names, entry->relation->name);
	overlay->changes = true;
	return entry->relation;
}

ScriptRelation *add_relation(Overlay *overlay, const RangeVar *name, char kind)
{
	const char *schema = creation_schema(overlay, name);
	const bool may_be_there = strcmp(schema, temporary_schema) == 0 || overlay->unknown_by != 0 ||
							  schema_exists(overlay, schema);
	if (!may_be_there || is_taken(overlay, schema, name->relname))
		return nullptr;
	ScriptRelation *relation = new_relation(overlay);
	relation->schema = MemoryContextStrdup(overlay->memory, schema);
	relation->name = MemoryContextStrdup(overlay->memory, name->relname);
	relation->kind = kind;
	relation->created_by = overlay->statement_no;
	put_name(overlay, relation->schema, relation->name, relation);
	return relation;
}

void drop_relation(Overlay *overlay, ScriptRelation *relation)
{
	relation->gone_by = overlay->statement_no;
	put_name(overlay, schema_key(relation->schema), relation->name, nullptr);
}

void drop_temporary(Overlay *overlay, bool at_commit)
{
	HASH_SEQ_STATUS scan;
	hash_seq_init(&scan, overlay->by_name);
	while (auto *entry = static_cast<NameEntry *>(hash_seq_search(&scan))) {
		if (entry->relation == nullptr || strcmp(entry->key.schema, temporary_schema) != 0 ||
			(at_commit && !entry->relation->until_commit))
			continue;
		entry->relation = nullptr;
		entry->changed_by = overlay->statement_no;
	}
}

void rename_relation(Overlay *overlay, ScriptRelation *relation, const char *schema,
					 const char *name)
{
	put_name(overlay, schema_key(relation->schema), relation->name, nullptr);
	relation->schema = MemoryContextStrdup(overlay->memory, schema);
	relation->name = MemoryContextStrdup(overlay->memory, name);
	relation->renamed_by = overlay->statement_no;
	put_name(overlay, schema_key(relation->schema), relation->name, relation);
}

ScriptColumn *find_column(const ScriptRelation *relation, const char *name)
{
	ListCell *cell;
	if (relation == nullptr)
		return nullptr;
	foreach (cell, relation->columns) {
		auto *column = static_cast<ScriptColumn *>(lfirst(cell));
		if (strcmp(column->name, name) == 0)
			return column;
	}
	return nullptr;
}

ScriptColumn *column_of(Overlay *overlay, ScriptRelation *relation, const char *name)
{
	ScriptColumn *column = find_column(relation, name);
	if (column != nullptr)
		return column;
	MemoryContext caller = MemoryContextSwitchTo(overlay->memory);
	column = static_cast<ScriptColumn *>(palloc0(sizeof(ScriptColumn)));
	column->name = pstrdup(name);
	relation->columns = lappend(relation->columns, column);
	MemoryContextSwitchTo(caller);
	return column;
}

ScriptConstraint *find_constraint(const ScriptRelation *relation, const char *name)
{
	ListCell *cell;
	if (relation == nullptr)
		return nullptr;
	foreach (cell, relation->constraints) {
		auto *constraint = static_cast<ScriptConstraint *>(lfirst(cell));
		if (constraint->name != nullptr && constraint->dropped_by == 0 &&
			strcmp(constraint->name, name) == 0)
			return constraint;
	}
	return nullptr;
}

void note_object(Overlay *overlay, const char *name, ObjectKind kind)
{
	note_name(overlay, overlay->objects, name)->kind = kind;
	if (kind != ObjectKind::plain_type)
		overlay->objects_by = overlay->statement_no;
	overlay->changes = true;
}

void note_mention(Overlay *overlay, const char *name)
{
	note_name(overlay, overlay->mentioned, name);
}

void note_unseen(Overlay *overlay, const char *name)
{
	note_name(overlay, overlay->unseen, name);
	overlay->changes = true;
}

int object_changed_by(const Overlay *overlay, const char *name)
{
	return changed_by(overlay->objects, name);
}

bool is_new_plain_type(const Overlay *overlay, const char *name)
{
	auto *entry =
		static_cast<ObjectEntry *>(hash_search(overlay->objects, name, HASH_FIND, nullptr));
	return entry != nullptr && entry->kind == ObjectKind::plain_type;
}

int mentioned_by(const Overlay *overlay, const char *name)
{
	return std::max(changed_by(overlay->mentioned, name), overlay->mentions_all_by);
}

int relation_changed_by(const Overlay *overlay, const char *name)
{
	return changed_by(overlay->names, name);
}

int perhaps_changed_by(const Overlay *overlay, const char *relation_name)
{
	return changed_by(overlay->unseen, relation_name);
}

void note_filled_name(Overlay *overlay, const char *name)
{
	note_name(overlay, overlay->filled_names, name);
	overlay->changes = true;
}

int filled_name_by(const Overlay *overlay, const char *relation_name)
{
	return changed_by(overlay->filled_names, relation_name);
}

} // namespace safe_migrate::statement::overlay
