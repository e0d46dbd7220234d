// A statement of a script: what it does as far as the catalog and the overlay can tell.
#include "statement/overlay/answer.hpp"

#include "pg/compat_repack.hpp"
#include "pg/options.hpp"
#include "statement/dependents.hpp"
#include "statement/identifiers.hpp"
#include "statement/overlay/rows.hpp"

extern "C" {
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "nodes/makefuncs.h"
#include "nodes/value.h"
#include "tcop/cmdtag.h"
#include "tcop/utility.h"
#include "utils/lsyscache.h"
}

namespace safe_migrate::statement::overlay {

namespace {

template <class T> const T *as(const Node *node) { return reinterpret_cast<const T *>(node); }

void alter_table(const Overlay *overlay, Analysis *analysis, const AlterTableStmt *alter)
{
	Named target = resolve(overlay, alter->relation);
	if (!target.exists()) {
		if (target.gone_by != 0 && !alter->missing_ok)
			fails_for_lack_of(overlay, alter->relation, target.gone_by);
		return ask_catalog(overlay, analysis, alter);
	}
	if (target.is_new())
		return answer_alter_new(overlay, analysis, alter, target.script);
	int by;
	if (family_is_changed(overlay, target.oid, &by))
		return add_dependence(overlay, analysis, target.oid, by,
							  "its partitions, children or parents");
	AlterTableStmt *live = copy_of(alter);
	answer_alter_table(overlay, analysis, alter, target.oid, live);
	if (live->cmds != NIL)
		ask_catalog(overlay, analysis, live);
}

// What was there before the script and has come to be in it: clients may name it.
void rename_script_schema(const Overlay *overlay, Analysis *analysis, const char *schema)
{
	ListCell *cell;
	foreach (cell, relations_in(overlay, schema)) {
		auto *relation = static_cast<const ScriptRelation *>(lfirst(cell));
		if (OidIsValid(relation->oid) && stands_for_table(get_rel_relkind(relation->oid)))
			add_finding(analysis, Cause::rename_other, Effect::client_break, relation->oid,
						Lock::none);
	}
}

void rename(const Overlay *overlay, Analysis *analysis, const RenameStmt *statement)
{
	if (statement->relation != nullptr) {
		Named target = resolve(overlay, statement->relation);
		if (!statement->missing_ok)
			insist_on(overlay, statement->relation, target);
		if (target.is_new())
			return judge_new(overlay, analysis, target.script, Lock::access_exclusive);
		if (statement->renameType == OBJECT_COLUMN && target.script != nullptr) {
			const ScriptColumn *column = find_column(target.script, statement->subname);
			if (column != nullptr && column->added_by != 0)
				return add_locks(analysis, with_descendants(target.oid), Lock::access_exclusive);
		}
	}
	if (statement->renameType == OBJECT_SCHEMA && insist_on_schema(overlay, statement->subname))
		return rename_script_schema(overlay, analysis, statement->subname);
	ask_catalog(overlay, analysis, statement);
}

// Of a list of relations, those that are there; the script's own are nobody's problem.
List *those_there(const Overlay *overlay, Analysis *analysis, const List *relations, Lock lock)
{
	List *there = NIL;
	ListCell *cell;
	foreach (cell, relations) {
		auto *node = static_cast<Node *>(lfirst(cell));
		const RangeVar *name = IsA(node, VacuumRelation) ? castNode(VacuumRelation, node)->relation
														 : castNode(RangeVar, node);
		Named target = resolve(overlay, name);
		if (target.is_new() && target.script->kind == RELKIND_VIEW)
			add_dependence(overlay, analysis, InvalidOid, target.script->created_by,
						   psprintf("view \"%s\"", name->relname));
		else if (target.is_new() && lock <= Lock::share_update_exclusive)
			add_new(analysis, target.script, lock);
		else if (target.is_new())
			judge_new(overlay, analysis, target.script, lock);
		else if (!target.exists() && target.gone_by != 0)
			fails_for_lack_of(overlay, name, target.gone_by);
		else
			there = lappend(there, node);
	}
	return there;
}

void truncate(const Overlay *overlay, Analysis *analysis, const TruncateStmt *statement)
{
	TruncateStmt *live = copy_of(statement);
	live->relations = those_there(overlay, analysis, statement->relations, Lock::access_exclusive);
	ListCell *cell;
	foreach (cell, statement->relations) {
		Named target = resolve(overlay, lfirst_node(RangeVar, cell));
		int by;
		if (OidIsValid(target.oid) && family_is_changed(overlay, target.oid, &by))
			add_dependence(overlay, analysis, target.oid, by,
						   "its partitions, children or parents");
		if (target.script != nullptr && target.script->referenced_by != 0 &&
			statement->behavior == DROP_CASCADE)
			add_dependence(overlay, analysis, target.oid, target.script->referenced_by,
						   "foreign keys that refer to it");
	}
	if (live->relations != NIL)
		ask_catalog(overlay, analysis, live);
}

// The one relation that other statements are about.
const RangeVar *target_of(const Node *statement)
{
	switch (nodeTag(statement)) {
		case pg::cluster_tag:
			return pg::clustered_relation(as<pg::Cluster>(statement));
		case T_RefreshMatViewStmt:
			return as<RefreshMatViewStmt>(statement)->relation;
		case T_CreateTrigStmt:
			return as<CreateTrigStmt>(statement)->relation;
		case T_RuleStmt:
			return as<RuleStmt>(statement)->relation;
		case T_CreatePolicyStmt:
			return as<CreatePolicyStmt>(statement)->table;
		case T_AlterPolicyStmt:
			return as<AlterPolicyStmt>(statement)->table;
		case T_AlterObjectSchemaStmt:
			return as<AlterObjectSchemaStmt>(statement)->relation;
		case T_AlterSeqStmt:
			return as<AlterSeqStmt>(statement)->sequence;
		case T_ReindexStmt:
			return as<ReindexStmt>(statement)->relation;
		case T_ViewStmt:
			return as<ViewStmt>(statement)->view;
		default:
			return nullptr;
	}
}

void of_domain(const Overlay *overlay, Analysis *analysis, const AlterDomainStmt *statement)
{
	const char *name = strVal(llast(statement->typeName));
	int by = std::max(
		{mentioned_by(overlay, name), object_changed_by(overlay, name), overlay->typed_by});
	if (by != 0)
		return add_dependence(overlay, analysis, InvalidOid, by, psprintf("domain \"%s\"", name));
	ask_catalog(overlay, analysis, statement);
}

// What they concern is found by its owner, its schema, its mark …: all that the script moved may
// be among it.
void of_many(const Overlay *overlay, Analysis *analysis, const Node *statement, const char *what)
{
	ask_catalog(overlay, analysis, statement);
	if (overlay->ties_by != 0)
		add_dependence(overlay, analysis, InvalidOid, overlay->ties_by, what);
}

void other(const Overlay *overlay, Analysis *analysis, const Node *statement)
{
	const RangeVar *name = target_of(statement);
	if (nodeTag(statement) == pg::cluster_tag && name == nullptr)
		return of_many(overlay, analysis, statement, "which tables are to be clustered");
	if (IsA(statement, AlterObjectSchemaStmt) &&
		as<AlterObjectSchemaStmt>(statement)->objectType == OBJECT_EXTENSION)
		return of_many(overlay, analysis, statement, "what belongs to the extension");
	if (name != nullptr) {
		Named target = resolve(overlay, name);
		if (target.is_new())
			return judge_new(overlay, analysis, target.script, Lock::access_exclusive);
		if (!target.exists() && target.gone_by != 0 && !IsA(statement, ViewStmt))
			fails_for_lack_of(overlay, name, target.gone_by);
	}
	ask_catalog(overlay, analysis, statement);
}

void reindex(const Overlay *overlay, Analysis *analysis, const ReindexStmt *statement)
{
	bool is_online = pg::has_option(statement->params, "concurrently");
	int by;
	if (statement->relation == nullptr) {
		ask_catalog(overlay, analysis, statement);
		if (!is_online && overlay->ties_by != 0)
			add_dependence(overlay, analysis, InvalidOid, overlay->ties_by,
						   "the tables and their indexes");
		return;
	}
	Named target = resolve(overlay, statement->relation);
	const ScriptRelation *script = target.script;
	if (!is_online && target.is_new() && script->of != nullptr && OidIsValid(script->of->oid))
		return add_dependence(overlay, analysis, script->of->oid, script->created_by,
							  psprintf("index \"%s\"", script->name));
	other(overlay, analysis, reinterpret_cast<const Node *>(statement));
	if (is_online || target.is_new() || !OidIsValid(target.oid))
		return;
	if (script != nullptr && script->indexes_by != 0)
		add_dependence(overlay, analysis, target.oid, script->indexes_by,
					   "the indexes of the table");
	else if (family_is_changed(overlay, target.oid, &by))
		add_dependence(overlay, analysis, target.oid, by, "its partitions, children or parents");
}

void dispatch(const Overlay *overlay, Analysis *analysis, const Node *statement)
{
	switch (nodeTag(statement)) {
		case T_AlterTableStmt:
			return alter_table(overlay, analysis, as<AlterTableStmt>(statement));
		case T_CreateStmt:
			return answer_create_table(overlay, analysis, as<CreateStmt>(statement));
		case T_IndexStmt:
			return answer_create_index(overlay, analysis, as<IndexStmt>(statement));
		case T_DropStmt:
			return answer_drop(overlay, analysis, as<DropStmt>(statement));
		case T_RenameStmt:
			return rename(overlay, analysis, as<RenameStmt>(statement));
		case T_TruncateStmt:
			return truncate(overlay, analysis, as<TruncateStmt>(statement));
		case T_ReindexStmt:
			return reindex(overlay, analysis, as<ReindexStmt>(statement));
		case T_DropOwnedStmt:
		case T_ReassignOwnedStmt:
			return of_many(overlay, analysis, statement, "what belongs to the role");
		case T_AlterTableMoveAllStmt:
			return of_many(overlay, analysis, statement, "what is in the tablespace");
		case T_AlterDomainStmt:
			return of_domain(overlay, analysis, as<AlterDomainStmt>(statement));
		case T_VacuumStmt: {
			VacuumStmt *live = copy_of(as<VacuumStmt>(statement));
			live->rels =
				those_there(overlay, analysis, live->rels,
							pg::has_option(live->options, "full") ? Lock::access_exclusive
																  : Lock::share_update_exclusive);
			if (live->rels != NIL || as<VacuumStmt>(statement)->rels == NIL)
				ask_catalog(overlay, analysis, live);
			return;
		}
		case T_LockStmt: {
			LockStmt *live = copy_of(as<LockStmt>(statement));
			live->relations =
				those_there(overlay, analysis, live->relations, static_cast<Lock>(live->mode));
			if (live->relations != NIL)
				ask_catalog(overlay, analysis, live);
			return;
		}
		default:
			return other(overlay, analysis, statement);
	}
}

// Of relations that a DO block named, nothing is sure any more; and a finding's relation may have
// another name by now.
void look_over(const Overlay *overlay, Analysis *analysis, bool is_about_rows)
{
	Effects *effects = analysis->effects;
	int n = effects->n;
	for (int i = 0; i < n; i++) {
		Finding *finding = &effects->findings[i];
		if (!OidIsValid(finding->relation))
			continue;
		const ScriptRelation *record = find_record(overlay, finding->relation);
		if (record != nullptr && record->renamed_by != 0) {
			finding->schema = record->schema;
			finding->name = record->name;
		}
		int by = is_about_rows ? 0 : perhaps_changed_by(overlay, finding->name);
		if (by != 0 && effects->depends_on == 0)
			add_dependence(overlay, analysis, finding->relation, by,
						   "what that does is only known when it runs");
	}
}

} // namespace

void analyse_in_script(Overlay *overlay, Analysis *analysis, const RawStmt *raw)
{
	Effects *effects = analysis->effects;
	overlay->statement_no++;
	*overlay->fails = *overlay->by_path = false;
	overlay->is_noting = false;
	overlay->written = InvalidOid;
	overlay->inserts = false;
	overlay->fills_new = false;
	overlay->location = raw->stmt_location;
	overlay->length = raw->stmt_len;
	analysis->in_transaction = overlay->in_block;
	place_statement(analysis, raw->stmt_location, raw->stmt_len);
	effects->command = GetCommandTagName(CreateCommandTag(raw->stmt));
	analyse_rows(overlay, analysis, raw);
	bool is_utility = may_have_effects(raw->stmt);
	if (!overlay->changes && is_utility)
		return analyse_utility(analysis, raw->stmt, raw->stmt_location, raw->stmt_len);
	if (is_utility) {
		analysis->names = overlay;
		dispatch(overlay, analysis, raw->stmt);
	}
	look_over(overlay, analysis, !is_utility);
	look_at_filled(overlay, analysis);
	if (*overlay->by_path && (is_utility || effects->n > 0) &&
		overlay->path_by > effects->depends_on)
		add_dependence(overlay, analysis, InvalidOid, overlay->path_by, "the search_path");
}

} // namespace safe_migrate::statement::overlay
