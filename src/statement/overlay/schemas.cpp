// Schemas that the script creates, drops and renames, with all that is in them.  See overlay.hpp.
#include "statement/overlay/note.hpp"
#include "statement/overlay/overlay.hpp"

#include "pg/catalog_scan.hpp"

extern "C" {
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
}

namespace safe_migrate::statement::overlay {

namespace {

struct SchemaEntry {
	char name[NAMEDATALEN];
	SchemaState state;
};

void note_state(Overlay *overlay, const char *schema, bool exists)
{
	char key[NAMEDATALEN] = {};
	strlcpy(key, schema, NAMEDATALEN);
	auto *entry =
		static_cast<SchemaEntry *>(hash_search(overlay->schemas, key, HASH_ENTER, nullptr));
	entry->state = {exists, overlay->statement_no};
	overlay->changes = true;
}

// What the catalog has in it and the script has left there gets a record.
void take_down_all(Overlay *overlay, const char *schema)
{
	const Oid space = namespace_of(overlay, schema);
	List *members = NIL;
	if (!OidIsValid(space))
		return;
	pg::for_each_row_with<FormData_pg_class>(
		RelationRelationId, Anum_pg_class_relnamespace, space, [&](const FormData_pg_class &row) {
			const ScriptRelation *known = find_record(overlay, row.oid);
			if (row.relkind != RELKIND_TOASTVALUE &&
				(known == nullptr || (known->gone_by == 0 && known->renamed_by == 0)))
				members = lappend_oid(members, row.oid);
		});
	ListCell *cell;
	foreach (cell, members) {
		ScriptRelation *record = record_of(overlay, lfirst_oid(cell));
		rename_relation(overlay, record, record->schema, record->name);
	}
}

} // namespace

HTAB *make_schemas(MemoryContext memory)
{
	HASHCTL control = {};
	control.keysize = NAMEDATALEN;
	control.entrysize = sizeof(SchemaEntry);
	control.hcxt = memory;
	return hash_create("schemas", 16, &control, HASH_ELEM | HASH_CONTEXT | HASH_STRINGS);
}

SchemaState state_of_schema(const Overlay *overlay, const char *schema)
{
	auto *entry =
		static_cast<SchemaEntry *>(hash_search(overlay->schemas, schema, HASH_FIND, nullptr));
	return entry != nullptr ? entry->state : SchemaState{};
}

bool schema_exists(const Overlay *overlay, const char *schema)
{
	const SchemaState state = state_of_schema(overlay, schema);
	return state.changed_by != 0 ? state.exists : OidIsValid(namespace_of(overlay, schema));
}

void note_new_schema(Overlay *overlay, const char *schema)
{
	if (!schema_exists(overlay, schema))
		note_state(overlay, schema, true);
}

void note_dropped_schema(Overlay *overlay, const char *schema, DropBehavior behavior)
{
	if (!schema_exists(overlay, schema))
		return;
	take_down_all(overlay, schema);
	const List *relations = relations_in(overlay, schema);
	if (behavior != DROP_CASCADE && relations != NIL)
		return; // fails
	ListCell *cell;
	foreach (cell, relations)
		drop_relation(overlay, static_cast<ScriptRelation *>(lfirst(cell)));
	note_state(overlay, schema, false);
}

void note_renamed_schema(Overlay *overlay, const char *from, const char *to)
{
	if (!schema_exists(overlay, from) || schema_exists(overlay, to))
		return;
	take_down_all(overlay, from);
	ListCell *cell;
	foreach (cell, relations_in(overlay, from)) {
		auto *relation = static_cast<ScriptRelation *>(lfirst(cell));
		rename_relation(overlay, relation, to, relation->name);
	}
	note_state(overlay, from, false);
	note_state(overlay, to, true);
}

} // namespace safe_migrate::statement::overlay
