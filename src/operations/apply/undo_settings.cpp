// See undo_settings.hpp.
#include "operations/apply/undo_settings.hpp"

#include "operations/ddl/sql.hpp"

extern "C" {
#include "access/relation.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_inherits.h"
#include "commands/comment.h"
#include "lib/stringinfo.h"
#include "utils/rel.h"
}

namespace safe_migrate::operations::apply {

namespace {

using ddl::literal;
using ddl::values_of;

// Those of a table with children are set for these, too, which may have others.
char *of_column(Relation relation, const char *column, const char *set)
{
	if (!column || find_inheritance_children(RelationGetRelid(relation), NoLock) != NIL)
		return nullptr;
	return values_of(psprintf("SELECT format('ALTER COLUMN %%I SET %%s', attname, %s) FROM "
							  "pg_attribute WHERE attrelid = %u AND attname = %s AND attnum > 0",
							  set, RelationGetRelid(relation), literal(column)));
}

constexpr const char *statistics = "'STATISTICS ' || coalesce(attstattarget, -1)";
constexpr const char *storage = "'STORAGE ' || CASE attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN "
								"'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END";

char *of_table(Relation relation, const char *set)
{
	return values_of(
		psprintf("SELECT %s FROM pg_class WHERE oid = %u", set, RelationGetRelid(relation)));
}

constexpr const char *clustered =
	"coalesce((SELECT 'CLUSTER ON ' || quote_ident(i.relname) FROM pg_index JOIN pg_class i ON "
	"i.oid = indexrelid WHERE indrelid = pg_class.oid AND indisclustered), 'SET WITHOUT CLUSTER')";
constexpr const char *identity =
	"'REPLICA IDENTITY ' || CASE relreplident WHEN 'f' THEN 'FULL' WHEN 'n' THEN 'NOTHING' WHEN "
	"'d' THEN 'DEFAULT' ELSE (SELECT 'USING INDEX ' || quote_ident(i.relname) FROM pg_index JOIN "
	"pg_class i ON i.oid = indexrelid WHERE indrelid = pg_class.oid AND indisreplident) END";
constexpr const char *row_security =
	"CASE WHEN relrowsecurity THEN 'ENABLE' ELSE 'DISABLE' END || ' ROW LEVEL SECURITY'";
constexpr const char *forced_security =
	"CASE WHEN relforcerowsecurity THEN 'FORCE' ELSE 'NO FORCE' END || ' ROW LEVEL SECURITY'";

// Those that are named; not those of its TOAST table.
char *options(Relation relation, const AlterTableCmd *command)
{
	StringInfoData names;
	initStringInfo(&names);
	ListCell *cell;
	foreach (cell, castNode(List, command->def)) {
		const auto *option = lfirst_node(DefElem, cell);
		if (option->defnamespace)
			return nullptr;
		appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "", literal(option->defname));
	}
	return of_table(relation,
					psprintf("(SELECT format('RESET (%%s)', string_agg(quote_ident(n), ', ')) FROM "
							 "unnest(ARRAY[%s]) n) || coalesce((SELECT format(', SET (%%s)', "
							 "string_agg(format('%%I = %%L', option_name, option_value), ', ')) "
							 "FROM pg_options_to_table(reloptions) WHERE option_name IN (%s) "
							 "HAVING count(*) > 0), '')",
							 names.data, names.data));
}

} // namespace

char *setting_back(Relation relation, const AlterTableCmd *command)
{
	switch (command->subtype) {
		case AT_SetStatistics:
			return of_column(relation, command->name, statistics);
		case AT_SetStorage:
			return of_column(relation, command->name, storage);
		case AT_SetRelOptions:
		case AT_ResetRelOptions:
			return options(relation, command);
		case AT_ClusterOn:
		case AT_DropCluster:
			return of_table(relation, clustered);
		case AT_ReplicaIdentity:
			return of_table(relation, identity);
		case AT_EnableRowSecurity:
		case AT_DisableRowSecurity:
			return of_table(relation, row_security);
		case AT_ForceRowSecurity:
		case AT_NoForceRowSecurity:
			return of_table(relation, forced_security);
		default:
			return nullptr;
	}
}

char *comment_back(const CommentStmt *comment)
{
	const char *kind = nullptr;
	switch (comment->objtype) {
		case OBJECT_TABLE:
			kind = "TABLE";
			break;
		case OBJECT_INDEX:
			kind = "INDEX";
			break;
		case OBJECT_VIEW:
			kind = "VIEW";
			break;
		case OBJECT_COLUMN:
			kind = "COLUMN";
			break;
		case OBJECT_TABCONSTRAINT:
			kind = "CONSTRAINT";
			break;
		default:
			return nullptr;
	}
	Relation relation = nullptr;
	ObjectAddress object =
		get_object_address(comment->objtype, comment->object, &relation, AccessShareLock, false);
	if (relation)
		relation_close(relation, NoLock);
	const char *before = GetComment(object.objectId, object.classId, object.objectSubId);
	return psprintf("COMMENT ON %s %s IS %s", kind, getObjectIdentity(&object, false),
					before ? literal(before) : "NULL");
}

} // namespace safe_migrate::operations::apply
