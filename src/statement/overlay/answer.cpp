// A statement of a script: what it does as far as the catalog and the overlay can tell.
#include "statement/overlay/answer.hpp"

#include "pg/compat_repack.hpp"
#include "pg/options.hpp"
#include "statement/dependents.hpp"
#include "statement/identifiers.hpp"
#include "statement/overlay/rows.hpp"

extern "C" {
#include "catalog/namespace.h"
#include "catalog/partition.h"
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

template <class T> T *copy_of(const T *node) { return static_cast<T *>(copyObjectImpl(node)); }

template <class T> void ask_catalog(const Overlay *overlay, Analysis *analysis, const T *statement)
{
	analyse_utility(analysis, reinterpret_cast<const Node *>(statement), overlay->location,
					overlay->length);
}

void fails_for_lack_of(const Overlay *overlay, const RangeVar *name, int gone_by)
{
	*overlay->fails = true;
	ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
					errmsg("relation \"%s\" does not exist any more", name->relname),
					errdetail("Statement %d drops or renames it.", gone_by)));
}

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

// A table of the script's own that the new one is put under, or refers to.
void look_at_parent(const Overlay *overlay, Analysis *analysis, const RangeVar *name)
{
	Named parent = resolve(overlay, name);
	if (parent.is_new() && parent.script->partitions_by != 0)
		judge_new(overlay, analysis, parent.script, Lock::none);
}

void look_at_references(const Overlay *overlay, Analysis *analysis, const List *constraints)
{
	ListCell *cell;
	foreach (cell, constraints) {
		auto *element = static_cast<Node *>(lfirst(cell));
		if (IsA(element, Constraint) && castNode(Constraint, element)->contype == CONSTR_FOREIGN)
			look_at_parent(overlay, analysis, castNode(Constraint, element)->pktable);
		else if (IsA(element, ColumnDef))
			look_at_references(overlay, analysis, castNode(ColumnDef, element)->constraints);
	}
}

// The constraints of the default partition say whether it is scanned for a new one.
void create_table(const Overlay *overlay, Analysis *analysis, const CreateStmt *statement)
{
	CreateStmt *create = copy_of(statement);
	if (create->if_not_exists && resolve(overlay, create->relation).exists())
		return;
	create->if_not_exists = false; // the catalog may know the name
	ask_catalog(overlay, analysis, create);
	look_at_references(overlay, analysis, create->tableElts);
	ListCell *cell;
	foreach (cell, create->inhRelations)
		look_at_parent(overlay, analysis, lfirst_node(RangeVar, cell));
	if (create->partbound == nullptr)
		return;
	Named parent = resolve(overlay, linitial_node(RangeVar, create->inhRelations));
	int by;
	if (!parent.is_new() && OidIsValid(parent.oid) && family_is_changed(overlay, parent.oid, &by))
		add_dependence(overlay, analysis, parent.oid, by, "its partitions");
}

bool has_script_column(const ScriptRelation *table, const IndexStmt *create)
{
	if (names_changed_column(table, create->whereClause))
		return true;
	ListCell *cell;
	foreach (cell, list_concat_copy(create->indexParams, create->indexIncludingParams)) {
		auto *element = lfirst_node(IndexElem, cell);
		if ((element->name != nullptr && find_column(table, element->name) != nullptr) ||
			names_changed_column(table, element->expr))
			return true;
	}
	return false;
}

// It comes into the schema of its table.
RangeVar *index_name(const Named &table, const IndexStmt *create)
{
	const char *schema = table.script != nullptr ? table.script->schema
												 : get_namespace_name(get_rel_namespace(table.oid));
	return makeRangeVar(const_cast<char *>(schema), create->idxname, -1);
}

void create_index(const Overlay *overlay, Analysis *analysis, const IndexStmt *create)
{
	Named table = resolve(overlay, create->relation);
	Lock lock = create->concurrent ? Lock::share_update_exclusive : Lock::share;
	int by;
	analysis->effects->commits_inside = create->concurrent;
	if (table.is_new())
		return judge_new(overlay, analysis, table.script, lock);
	if (!table.exists() && table.gone_by != 0)
		fails_for_lack_of(overlay, create->relation, table.gone_by);
	if (OidIsValid(table.oid) && family_is_changed(overlay, table.oid, &by))
		return add_dependence(overlay, analysis, table.oid, by, "its partitions");
	if (create->if_not_exists && OidIsValid(table.oid) && create->idxname != nullptr) {
		Named index = resolve(overlay, index_name(table, create));
		IndexStmt *live = copy_of(create);
		live->if_not_exists = false;
		if (index.script != nullptr)
			return (void)add_lock(analysis, table.oid, lock);
		if (!index.exists())
			return create_index(overlay, analysis, live);
	}
	if (table.script == nullptr || !has_script_column(table.script, create))
		return ask_catalog(overlay, analysis, create);
	bool only = !create->relation->inh && get_rel_relkind(table.oid) == RELKIND_PARTITIONED_TABLE;
	if (only)
		add_lock(analysis, table.oid, lock);
	else
		add_answer(analysis, Cause::create_index, Effect::index_build, table.oid, lock)->object =
			create->idxname;
	if (create->relation->inh)
		add_locks(analysis, with_descendants(table.oid), lock);
}

// ---------------------------------------------------------------- DROP

// The keys that the script added go with the table: their other ends are locked for it.
void lock_other_ends(const Overlay *overlay, Analysis *analysis, const ScriptRelation *table,
					 DropBehavior behavior)
{
	ListCell *cell;
	foreach (cell, table->constraints) {
		auto *constraint = static_cast<const ScriptConstraint *>(lfirst(cell));
		if (constraint->parent == nullptr || constraint->dropped_by != 0)
			continue;
		add_script_lock(analysis, constraint->parent, Lock::access_exclusive);
	}
	if (table->of != nullptr && OidIsValid(table->of->oid)) {
		add_script_lock(analysis, table->of, Lock::access_exclusive);
		Oid rest = get_default_partition_oid(table->of->oid);
		if (OidIsValid(rest))
			add_lock(analysis, rest, Lock::access_exclusive);
	}
	if (table->referenced_by != 0 && behavior == DROP_CASCADE)
		add_dependence(overlay, analysis, table->oid, table->referenced_by,
					   "foreign keys that refer to it");
}

// What was there may depend on it by now: of something new, only by its name.
int tied_to(const Overlay *overlay, const Named &target)
{
	if (!target.is_new())
		return overlay->ties_by;
	int by = std::min(mentioned_by(overlay, target.script->name), overlay->ties_by);
	return by > target.script->created_by ? by : 0;
}

void drop_relations(const Overlay *overlay, Analysis *analysis, const DropStmt *drop)
{
	DropStmt *live = copy_of(drop);
	live->objects = NIL;
	Lock lock = drop->concurrent ? Lock::share_update_exclusive : Lock::access_exclusive;
	ListCell *cell;
	foreach (cell, drop->objects) {
		auto *names = lfirst_node(List, cell);
		const RangeVar *name = range_var_of(names);
		Named target = resolve(overlay, name);
		if (!target.exists() && target.gone_by != 0) {
			if (!drop->missing_ok)
				fails_for_lack_of(overlay, name, target.gone_by);
			continue;
		}
		if (target.script != nullptr) {
			if (target.is_new())
				judge_new(overlay, analysis, target.script, lock);
			lock_other_ends(overlay, analysis, target.script, drop->behavior);
			if (target.script->partitions_by != 0 && !target.is_new())
				add_dependence(overlay, analysis, target.oid, target.script->partitions_by,
							   "its partitions, children or parents");
		}
		int tied_by = drop->behavior == DROP_CASCADE ? tied_to(overlay, target) : 0;
		if (target.exists() && tied_by > analysis->effects->depends_on)
			add_dependence(overlay, analysis, target.oid, tied_by,
						   psprintf("what depends on \"%s\"", name->relname));
		if (!target.is_new())
			live->objects = lappend(live->objects, names);
	}
	if (live->objects != NIL)
		ask_catalog(overlay, analysis, live);
}

const char *name_of_dropped(Node *object)
{
	if (IsA(object, String))
		return strVal(object);
	const List *names = IsA(object, TypeName)		  ? castNode(TypeName, object)->names
						: IsA(object, ObjectWithArgs) ? castNode(ObjectWithArgs, object)->objname
						: IsA(object, List)			  ? castNode(List, object)
													  : NIL;
	return names != NIL && IsA(llast(names), String) ? strVal(llast(names)) : "";
}

bool belongs_to_relation(ObjectType type)
{
	return type == OBJECT_TRIGGER || type == OBJECT_RULE || type == OBJECT_POLICY;
}

// Types, functions, schemas …: what hangs on them may have come to by the script.
void drop_objects(const Overlay *overlay, Analysis *analysis, const DropStmt *drop)
{
	ask_catalog(overlay, analysis, drop);
	if (belongs_to_relation(drop->removeType))
		return;
	ListCell *cell;
	foreach (cell, drop->objects) {
		const char *name = name_of_dropped(static_cast<Node *>(lfirst(cell)));
		int by = drop->behavior == DROP_CASCADE			? overlay->ties_by
				 : drop->removeType == OBJECT_EXTENSION ? mentioned_by(overlay, name)
														: 0;
		if (by != 0)
			return add_dependence(overlay, analysis, InvalidOid, by,
								  psprintf("what depends on \"%s\"", name));
	}
}

void drop(const Overlay *overlay, Analysis *analysis, const DropStmt *statement)
{
	switch (statement->removeType) {
		case OBJECT_TABLE:
		case OBJECT_VIEW:
		case OBJECT_MATVIEW:
		case OBJECT_INDEX:
		case OBJECT_SEQUENCE:
		case OBJECT_FOREIGN_TABLE:
			return drop_relations(overlay, analysis, statement);
		default:
			return drop_objects(overlay, analysis, statement);
	}
}

// ---------------------------------------------------------------- the others

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
			return create_table(overlay, analysis, as<CreateStmt>(statement));
		case T_IndexStmt:
			return create_index(overlay, analysis, as<IndexStmt>(statement));
		case T_DropStmt:
			return drop(overlay, analysis, as<DropStmt>(statement));
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
		if (finding->schema != nullptr) // renamed, so that the name may be another one's
			by = std::max(by, object_changed_by(overlay, finding->schema));
		if (by != 0 && effects->depends_on == 0)
			add_dependence(overlay, analysis, finding->relation, by,
						   "what that does is only known when it runs");
	}
}

} // namespace

void insist_on(const Overlay *overlay, const RangeVar *name, const Named &target)
{
	if (!target.exists() && target.gone_by != 0)
		fails_for_lack_of(overlay, name, target.gone_by);
}

void add_dependence(const Overlay *overlay, Analysis *analysis, Oid relation, int statement_no,
					const char *what)
{
	Finding *finding;
	Effects *effects = analysis->effects;
	if (OidIsValid(relation))
		finding = add_finding(analysis, Cause::depends_on_earlier_statement, Effect::metadata,
							  relation, Lock::none);
	else {
		finding = append_finding(effects);
		finding->cause = Cause::depends_on_earlier_statement;
	}
	finding->is_target = true;
	finding->exempt = Exempt::no;
	finding->facts = psprintf("it depends on what statement %d does: %s", statement_no, what);
	if (statement_no > effects->depends_on) {
		effects->depends_on = statement_no;
		effects->depends_on_what = what;
	}
}

void add_new(Analysis *analysis, const ScriptRelation *relation, Lock lock)
{
	Finding *finding = append_finding(analysis->effects);
	finding->cause = Cause::lock;
	finding->lock = lock;
	finding->exempt = Exempt::created_here;
	finding->is_target = true;
	finding->schema = relation->schema;
	finding->name = relation->name;
}

void judge_new(const Overlay *overlay, Analysis *analysis, const ScriptRelation *relation,
			   Lock lock)
{
	if (relation->partitions_by == 0)
		return add_new(analysis, relation, lock);
	add_dependence(overlay, analysis, InvalidOid, relation->partitions_by,
				   "its partitions, children or parents");
	Finding *finding = &analysis->effects->findings[analysis->effects->n - 1];
	finding->schema = relation->schema;
	finding->name = relation->name;
}

Finding *add_answer(Analysis *analysis, Cause cause, Effect effect, Oid relation, Lock lock)
{
	Finding *finding = add_finding(analysis, cause, effect, relation, lock);
	finding->is_target = true;
	if (grows_with_size(effect))
		finding->bytes = heap_bytes(relation);
	finding->indexes = effect == Effect::index_build ? 1 : 0;
	return finding;
}

void add_script_lock(Analysis *analysis, const ScriptRelation *relation, Lock lock)
{
	if (OidIsValid(relation->oid) && relation->gone_by == 0)
		add_lock(analysis, relation->oid, lock);
}

bool is_changed(const ScriptRelation *relation)
{
	return relation != nullptr &&
		   (relation->columns != NIL || relation->constraints != NIL || relation->indexes_by != 0 ||
			relation->partitions_by != 0 || relation->foreign_keys_by != 0);
}

bool family_is_changed(const Overlay *overlay, Oid relation, int *by)
{
	const ScriptRelation *own = find_record(overlay, relation);
	if (own != nullptr && own->partitions_by != 0) {
		*by = own->partitions_by;
		return true;
	}
	List *family = list_concat(with_descendants(relation), ancestors(relation));
	ListCell *cell;
	foreach (cell, family) {
		const ScriptRelation *record = find_record(overlay, lfirst_oid(cell));
		if (lfirst_oid(cell) != relation && is_changed(record)) {
			*by = record->changed_by;
			return true;
		}
	}
	return false;
}

void analyse_in_script(Overlay *overlay, Analysis *analysis, const RawStmt *raw)
{
	Effects *effects = analysis->effects;
	overlay->statement_no++;
	*overlay->fails = false;
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
}

} // namespace safe_migrate::statement::overlay
