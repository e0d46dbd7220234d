// Dispatch: which family a statement belongs to.  See analysis.hpp.
#include "statement/analysis.hpp"

#include "pg/compat_repack.hpp"
#include "pg/oid_places.hpp"
#include "pg/options.hpp"
#include "statement/relations.hpp"
#include "statement/surroundings.hpp"

extern "C" {
#include "catalog/namespace.h"
#include "commands/defrem.h"
#include "parser/scansup.h"
#include "tcop/cmdtag.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
}

namespace safe_migrate::statement {

struct FindingPlaces {
	pg::OidPlaces first;
	int covered; // findings that are in it
};

namespace {

template <class T> const T *as(const Node *statement)
{
	return reinterpret_cast<const T *>(statement);
}

const char *end_of_statement(const char *source, int location, int length)
{
	const char *begin = source + std::max(location, 0);
	return begin + (length > 0 ? length : static_cast<int>(strlen(begin)));
}

// The statement's own part of the source, without the space and semicolons around it.
const char *own_text(const char *source, int location, const char *end)
{
	const char *begin = source + std::max(location, 0);
	while (begin < end && (scanner_isspace(*begin) || *begin == ';'))
		begin++;
	while (end > begin && (scanner_isspace(end[-1]) || end[-1] == ';'))
		end--;
	return pnstrdup(begin, end - begin);
}

bool has_subcommand(const AlterTableStmt *statement, bool (*wanted)(const AlterTableCmd *))
{
	ListCell *cell;
	foreach (cell, statement->cmds) {
		if (wanted(lfirst_node(AlterTableCmd, cell)))
			return true;
	}
	return false;
}

bool is_detach_concurrently(const AlterTableCmd *command)
{
	return command->subtype == AT_DetachPartition &&
		   castNode(PartitionCmd, command->def)->concurrent;
}

bool is_partitioned(const RangeVar *name)
{
	Oid relation = RangeVarGetRelid(name, NoLock, true);
	char kind = OidIsValid(relation) ? get_rel_relkind(relation) : '\0';
	return kind == RELKIND_PARTITIONED_TABLE || kind == RELKIND_PARTITIONED_INDEX;
}

// Does the statement have transactions of its own?  What calls PreventInTransactionBlock() and
// commits before it is done.
bool commits_inside(const Node *statement)
{
	switch (nodeTag(statement)) {
		case T_VacuumStmt:
		case T_CallStmt:
		case T_DoStmt:
			return true;
		case T_IndexStmt:
			return as<IndexStmt>(statement)->concurrent;
		case T_DropStmt:
			return as<DropStmt>(statement)->concurrent;
		case T_AlterTableStmt:
			return has_subcommand(as<AlterTableStmt>(statement), is_detach_concurrently);
		case T_ReindexStmt: {
			auto *reindex = as<ReindexStmt>(statement);
			return reindex->relation == nullptr ||
				   pg::has_option(reindex->params, "concurrently") ||
				   is_partitioned(reindex->relation);
		}
		case pg::cluster_tag: {
			auto *cluster = as<pg::Cluster>(statement);
			const RangeVar *relation = pg::clustered_relation(cluster);
			return relation == nullptr || pg::repacks_concurrently(cluster) ||
				   is_partitioned(relation);
		}
		default:
			return false;
	}
}

void dispatch(Analysis *analysis, const Node *statement)
{
	switch (nodeTag(statement)) {
		case T_AlterTableStmt:
			return analyse_alter_table(analysis, as<AlterTableStmt>(statement));
		case T_AlterTableMoveAllStmt:
			return analyse_move_all(analysis, as<AlterTableMoveAllStmt>(statement));
		case T_CreateStmt:
			return analyse_create_table(analysis, as<CreateStmt>(statement));
		case T_CreateForeignTableStmt:
			return analyse_create_table(analysis, &as<CreateForeignTableStmt>(statement)->base);
		case T_IndexStmt:
			return analyse_create_index(analysis, as<IndexStmt>(statement));
		case T_ReindexStmt:
			return analyse_reindex(analysis, as<ReindexStmt>(statement));
		case T_DropStmt:
			return analyse_drop(analysis, as<DropStmt>(statement));
		case T_RenameStmt:
			return analyse_rename(analysis, as<RenameStmt>(statement));
		case T_AlterDomainStmt:
			return analyse_domain(analysis, as<AlterDomainStmt>(statement));
		case T_AlterEnumStmt:
			return analyse_enum(analysis, as<AlterEnumStmt>(statement));
		case T_TruncateStmt:
			return analyse_truncate(analysis, as<TruncateStmt>(statement));
		case T_CreateSchemaStmt:
			return analyse_create_schema(analysis, as<CreateSchemaStmt>(statement));
		default:
			return analyse_maintenance(analysis, statement);
	}
}

Finding *append(Effects *effects)
{
	if (effects->n == effects->capacity) {
		effects->capacity = std::max(8, effects->capacity * 2);
		Size size = sizeof(Finding) * effects->capacity;
		effects->findings = static_cast<Finding *>(
			effects->findings == nullptr ? palloc(size) : repalloc(effects->findings, size));
	}
	Finding *finding = &effects->findings[effects->n++];
	memset(finding, 0, sizeof(*finding));
	return finding;
}

constexpr int few_findings = 8; // faster looked through than looked up

Finding *look_through(const Effects *effects, Oid relation)
{
	for (int i = 0; i < effects->n; i++)
		if (effects->findings[i].relation == relation)
			return &effects->findings[i];
	return nullptr;
}

void cover_findings(Effects *effects)
{
	MemoryContext memory = GetMemoryChunkContext(effects->findings);
	if (effects->places == nullptr) {
		effects->places =
			static_cast<FindingPlaces *>(MemoryContextAllocZero(memory, sizeof(FindingPlaces)));
		effects->places->first.memory = memory;
	}
	for (int &i = effects->places->covered; i < effects->n; i++)
		if (OidIsValid(effects->findings[i].relation))
			(void)effects->places->first.put(effects->findings[i].relation, i);
}

int by_relation(const void *left, const void *right)
{
	Oid a = (*static_cast<Finding *const *>(left))->relation;
	Oid b = (*static_cast<Finding *const *>(right))->relation;
	return a < b ? -1 : a > b;
}

// Every finding on a relation gets the strongest lock that any of them knows of, unless that one is
// given back before.
void settle_locks(Effects *effects)
{
	auto **sorted = static_cast<Finding **>(palloc(sizeof(Finding *) * std::max(effects->n, 1)));
	for (int i = 0; i < effects->n; i++)
		sorted[i] = &effects->findings[i];
	qsort(sorted, effects->n, sizeof(Finding *), by_relation);
	for (int begin = 0, end; begin < effects->n; begin = end) {
		Lock strongest = Lock::none;
		for (end = begin; end < effects->n && sorted[end]->relation == sorted[begin]->relation;
			 end++)
			strongest = std::max(strongest, sorted[end]->lock);
		for (int i = begin; i < end && OidIsValid(sorted[begin]->relation); i++)
			if (!sorted[i]->works_apart)
				sorted[i]->lock = strongest;
	}
	pfree(sorted);
}

// The relation on which most clients wait; nullptr: none.
const Finding *locked_for_others(const Effects *effects)
{
	const Finding *strongest = nullptr;
	for (int i = 0; i < effects->n; i++) {
		const Finding &finding = effects->findings[i];
		const bool is_others = finding.exempt == Exempt::no || finding.exempt == Exempt::empty;
		if (is_others && OidIsValid(finding.relation) && finding.name != nullptr &&
			is_strong(finding.lock) && (strongest == nullptr || finding.lock > strongest->lock))
			strongest = &finding;
	}
	return strongest;
}

// All locks are held up to the end: work on a relation that is new is not nobody's problem while
// clients of another one wait.
void count_work_that_others_wait_for(Effects *effects)
{
	const Finding *other = locked_for_others(effects);
	if (other == nullptr || effects->commits_inside)
		return;
	const char *name = quote_qualified_identifier(other->schema, other->name);
	for (int i = 0; i < effects->n; i++) {
		Finding *finding = &effects->findings[i];
		if (finding->exempt != Exempt::created_here || !grows_with_size(finding->effect) ||
			finding->bytes == 0)
			continue;
		finding->exempt = Exempt::no;
		finding->facts =
			psprintf("%s%s%s is locked meanwhile", finding->facts ? finding->facts : "",
					 finding->facts ? "; " : "", name);
	}
}

// What the statement does to a new parent, it does to the tables that were attached to it.
bool reaches_others(Cause cause, Effect effect, Oid relation)
{
	return cause != Cause::lock && effect != Effect::client_break && holds_rows_of_others(relation);
}

} // namespace

bool may_have_effects(const Node *statement)
{
	switch (nodeTag(statement)) {
		case T_AlterTableStmt:
		case T_AlterTableMoveAllStmt:
		case T_CreateStmt:
		case T_CreateForeignTableStmt:
		case T_CreateSchemaStmt:
		case T_IndexStmt:
		case T_ReindexStmt:
		case T_DropStmt:
		case T_DropOwnedStmt:
		case T_ReassignOwnedStmt:
		case T_RenameStmt:
		case T_AlterDomainStmt:
		case T_AlterEnumStmt:
		case T_TruncateStmt:
		case T_VacuumStmt:
		case pg::cluster_tag:
		case T_RefreshMatViewStmt:
		case T_CreateTrigStmt:
		case T_RuleStmt:
		case T_CreatePolicyStmt:
		case T_AlterPolicyStmt:
		case T_AlterObjectSchemaStmt:
		case T_AlterObjectDependsStmt:
		case T_AlterOwnerStmt:
		case T_AlterSeqStmt:
		case T_ViewStmt:
		case T_LockStmt:
		case T_CommentStmt:
		case T_SecLabelStmt:
		case T_CreatePublicationStmt:
		case T_AlterPublicationStmt:
		case T_CreateStatsStmt:
		case T_DoStmt:
		case T_CallStmt:
			return true;
		default:
			return false; // EXPLAIN ANALYZE, EXECUTE, DECLARE: what they run comes by itself
	}
}

void place_statement(Analysis *analysis, int location, int length)
{
	if (analysis->source == nullptr)
		return;
	analysis->source_end = end_of_statement(analysis->source, location, length);
	analysis->effects->text = own_text(analysis->source, location, analysis->source_end);
}

void analyse_utility(Analysis *analysis, const Node *statement, int location, int length)
{
	Effects *effects = analysis->effects;
	effects->command = GetCommandTagName(CreateCommandTag(const_cast<Node *>(statement)));
	place_statement(analysis, location, length);
	effects->runs_code = IsA(statement, DoStmt) || IsA(statement, CallStmt);
	if (!may_have_effects(statement))
		return;
	effects->commits_inside = commits_inside(statement);
	if (effects->runs_code)
		return;
	dispatch(analysis, statement);
	settle_locks(effects);
	count_work_that_others_wait_for(effects);
	analyse_surroundings(analysis, statement);
}

Finding *append_finding(Effects *effects) { return append(effects); }

Finding *first_finding(Effects *effects, Oid relation)
{
	if (effects->n <= few_findings || !OidIsValid(relation))
		return look_through(effects, relation);
	cover_findings(effects);
	const int *place = effects->places->first.find(relation);
	return place == nullptr ? nullptr : &effects->findings[*place];
}

void findings_moved(Effects *effects)
{
	if (effects->places == nullptr)
		return;
	effects->places->first.clear();
	effects->places->covered = 0;
}

Object *append_object(Effects *effects)
{
	if (effects->n_objects == effects->objects_capacity) {
		effects->objects_capacity = std::max(8, effects->objects_capacity * 2);
		const Size size = sizeof(Object) * effects->objects_capacity;
		effects->objects = static_cast<Object *>(
			effects->objects == nullptr ? palloc(size) : repalloc(effects->objects, size));
	}
	Object *object = &effects->objects[effects->n_objects++];
	*object = {};
	return object;
}

void add_right(Analysis *analysis, Oid class_id, Oid object, Right right, Oid role)
{
	*append_object(analysis->effects) = {class_id, object, false, right, role};
}

Finding *add_finding(Analysis *analysis, Cause cause, Effect effect, Oid relation, Lock lock)
{
	const Finding *same =
		OidIsValid(relation) ? first_finding(analysis->effects, relation) : nullptr;
	Exempt exempt = Exempt::no;
	const char *schema = nullptr;
	const char *name = nullptr;
	if (!OidIsValid(relation)) {
		// an object that is no relation
	} else if (same != nullptr) { // the sizes are looked up once
		exempt = same->exempt;
		if (exempt == Exempt::empty && !is_empty(relation)) // that one was about ONLY the table
			exempt = Exempt::no;
		schema = same->schema;
		name = same->name;
	} else {
		exempt = exemption(relation);
		if (exempt == Exempt::no && is_empty(relation))
			exempt = Exempt::empty;
		schema = get_namespace_name(get_rel_namespace(relation));
		name = get_rel_name(relation);
	}
	if (exempt == Exempt::created_here && reaches_others(cause, effect, relation))
		exempt = Exempt::no;
	Finding *finding = append(analysis->effects);
	finding->cause = cause;
	finding->effect = effect;
	finding->lock = lock;
	finding->exempt = exempt;
	finding->relation = relation;
	finding->schema = schema;
	finding->name = name;
	return finding;
}

} // namespace safe_migrate::statement
