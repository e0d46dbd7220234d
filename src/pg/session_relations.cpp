// See session_relations.hpp.  Follows the use of object_access_hook in contrib/sepgsql/hooks.c.
#include "pg/session_relations.hpp"

#include "pg/boundary.hpp"

extern "C" {
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/timestamp.h"
}

namespace safe_migrate::pg {

namespace {

// A session that creates tables all day (temporary ones, mostly) must not fill its memory.
constexpr long max_remembered = 10000;
constexpr int64 remembered_for_ms = INT64CONST(3600) * 1000;

struct Remembered {
	Oid relation; // the key
	TimestampTz created;
};

object_access_hook_type previous_hook = nullptr;
HTAB *remembered = nullptr;

void remember(Oid relation)
{
	if (remembered != nullptr && hash_get_num_entries(remembered) >= max_remembered)
		forget_session_relations();
	if (remembered == nullptr) {
		HASHCTL control = {};
		control.keysize = sizeof(Oid);
		control.entrysize = sizeof(Remembered);
		control.hcxt = TopMemoryContext;
		remembered = hash_create("safe_migrate relations of this session", 64, &control,
								 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	auto *entry =
		static_cast<Remembered *>(hash_search(remembered, &relation, HASH_ENTER, nullptr));
	entry->created = GetCurrentTimestamp();
}

void forget(Oid relation)
{
	if (remembered != nullptr)
		hash_search(remembered, &relation, HASH_REMOVE, nullptr);
}

// The copy that a rewrite (VACUUM FULL, ALTER TYPE) makes of a table is "internal".
bool is_internal(const void *arg)
{
	return arg != nullptr && static_cast<const ObjectAccessPostCreate *>(arg)->is_internal;
}

void on_object_access(ObjectAccessType access, Oid class_id, Oid object, int sub_id, void *arg)
{
	if (previous_hook != nullptr)
		previous_hook(access, class_id, object, sub_id, arg);
	if (class_id != RelationRelationId || sub_id != 0)
		return;
	if (access == OAT_POST_CREATE && !is_internal(arg))
		entry([object] { remember(object); });
	else if (access == OAT_DROP)
		entry([object] { forget(object); });
}

bool created_in_this_transaction(Oid relation)
{
	Relation rel = RelationIdGetRelation(relation);
	if (!RelationIsValid(rel))
		return false;
	bool created = rel->rd_createSubid != InvalidSubTransactionId;
	RelationClose(rel);
	return created;
}

} // namespace

void remember_session_relations()
{
	previous_hook = object_access_hook;
	object_access_hook = on_object_access;
}

void forget_session_relations()
{
	if (remembered != nullptr)
		hash_destroy(remembered);
	remembered = nullptr;
}

bool is_remembered_relation(Oid relation)
{
	if (remembered == nullptr)
		return false;
	auto *entry = static_cast<Remembered *>(hash_search(remembered, &relation, HASH_FIND, nullptr));
	return entry != nullptr &&
		   !TimestampDifferenceExceeds(entry->created, GetCurrentTimestamp(), remembered_for_ms);
}

// As RELATION_IS_OTHER_TEMP().
bool is_other_sessions_temp(Oid relation)
{
	return get_rel_persistence(relation) == RELPERSISTENCE_TEMP &&
		   isOtherTempNamespace(get_rel_namespace(relation));
}

bool is_session_relation(Oid relation)
{
	return is_remembered_relation(relation) || created_in_this_transaction(relation);
}

} // namespace safe_migrate::pg
