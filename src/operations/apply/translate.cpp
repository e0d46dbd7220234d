// See translate.hpp.
#include "operations/apply/translate.hpp"

#include "operations/apply/check/check.hpp"
#include "operations/apply/script.hpp"
#include "operations/apply/undo.hpp"
#include "operations/column/definition.hpp"
#include "operations/column/steps.hpp"
#include "operations/constraint/add.hpp"
#include "operations/constraint/not_null.hpp"
#include "operations/constraint/steps.hpp"
#include "operations/ddl/sql.hpp"
#include "operations/ddl/target.hpp"
#include "operations/drop/steps.hpp"
#include "operations/index/steps.hpp"
#include "operations/partition/steps.hpp"
#include "pg/transaction.hpp"
#include "settings.hpp"
#include "statement/analysis.hpp"
#include "statement/relations.hpp"

extern "C" {
#include "access/relation.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_tablespace.h"
#include "commands/defrem.h"
#include "commands/tablespace.h"
#include "lib/stringinfo.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
}

namespace safe_migrate::operations::apply {

using statement::Effects;
using statement::Exempt;
using statement::Finding;
using statement::Lock;

namespace {

Effects *effects_of(const Unit &unit)
{
	auto *effects = static_cast<Effects *>(palloc0(sizeof(Effects)));
	statement::Analysis analysis = {};
	analysis.source = unit.sql;
	analysis.effects = effects;
	statement::analyse_utility(&analysis, unit.statement, -1, 0);
	return effects;
}

// Too much to be done under a lock that stops somebody.
bool is_unbounded(const Finding &finding)
{
	if (finding.exempt != Exempt::no || !statement::grows_with_size(finding.effect) ||
		!statement::is_strong(finding.lock))
		return false;
	int64 small = static_cast<int64>(settings::small_table_size) * 1024;
	return finding.bytes < 0 || finding.bytes > small;
}

const Finding *first_unbounded(const Effects &effects)
{
	for (int i = 0; i < effects.n; i++)
		if (is_unbounded(effects.findings[i]))
			return &effects.findings[i];
	return nullptr;
}

const char *verb_of(statement::Effect effect)
{
	switch (effect) {
		case statement::Effect::rewrite:
			return "rewrite";
		case statement::Effect::index_build:
			return "build an index on";
		default:
			return "scan";
	}
}

char *size_text(int64 bytes)
{
	if (bytes < 0)
		return pstrdup("of unknown size");
	return TextDatumGetCString(DirectFunctionCall1(pg_size_pretty, Int64GetDatum(bytes)));
}

[[noreturn]] void no_safe_way(const Unit &unit, const Finding &finding)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("there is no safe way yet to carry out statement %d", unit.number),
					errdetail("It would %s %s (%s) under a lock that stops others.",
							  verb_of(finding.effect),
							  quote_qualified_identifier(finding.schema, finding.name),
							  size_text(finding.bytes)),
					errhint("Nothing was done. SELECT * FROM safe_migrate.explain(…) says more.")));
	pg_unreachable();
}

[[noreturn]] void refuse_kind(const Unit &unit, const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("statement %d is no DDL that can be applied: %s", unit.number,
						   GetCommandTagName(CreateCommandTag(unit.statement))),
					hint ? errhint("%s", hint) : 0));
	pg_unreachable();
}

// ---------------------------------------------------------------- as it stands

// One short transaction, its strong locks taken before.
void add_as_it_stands(ddl::Recipe *recipe, const Unit &unit, const Effects &effects)
{
	ddl::RecipeStep *step = ddl::add_step(recipe, "statement", unit.sql);
	step->caller_path = true;
	step->as_written = true;
	step->undo = undo_of(unit);
	for (int i = 0; i < effects.n; i++) {
		const Finding &finding = effects.findings[i];
		bool known = false;
		for (int k = 0; k < step->n_locks; k++)
			if (step->locks[k].relation == finding.relation) {
				known = true;
				step->locks[k].mode = Max(step->locks[k].mode, finding.lock);
			}
		if (!known && OidIsValid(finding.relation) && finding.lock != Lock::none)
			ddl::add_lock(step, finding.relation, finding.lock);
		if (finding.is_target && OidIsValid(finding.relation) && !step->still)
			ddl::expect_relation(step, finding.relation);
		if (finding.effect > step->effect)
			step->effect = finding.effect;
		step->bytes = Max(step->bytes, finding.bytes);
	}
}

// ---------------------------------------------------------------- ALTER TABLE

// ONLY says something where there are others.
bool is_without_children(const AlterTableStmt *alter, Oid table)
{
	return !alter->relation->inh && list_length(statement::with_descendants(table)) > 1;
}

void add_constraint(ddl::Recipe *recipe, const Unit &unit, Relation relation)
{
	const char *text = text_after_add(unit);
	if (!text)
		refuse_kind(unit, nullptr);
	constraint::add_constraint_steps(recipe, relation, constraint::read_definition(relation, text));
}

// The recipe of a domain with constraints ends with another type: not what the statement says.
void add_column(ddl::Recipe *recipe, const Unit &unit, Relation relation, const char *text)
{
	column::Definition definition = column::read_definition(relation, text);
	if (OidIsValid(definition.domain))
		ereport(
			ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("there is no safe way to carry out statement %d", unit.number),
			 errdetail("For a column of domain %s, which has constraints, the server rewrites "
					   "the table under a lock that stops others.",
					   format_type_be(definition.domain)),
			 errhint("SELECT safe_migrate.add_column_safely(%s, %s); adds one of type %s, with "
					 "the domain's conditions as CHECK constraints.",
					 ddl::literal(ddl::quoted_name(RelationGetRelid(relation))), ddl::literal(text),
					 format_type_with_typemod(definition.type, definition.typmod))));
	column::add_column_steps(recipe, relation, definition);
}

void attach(ddl::Recipe *recipe, const Unit &unit, Relation parent, const PartitionCmd *command)
{
	Relation child = ddl::open_owned_table(RangeVarGetRelid(command->name, NoLock, false));
	partition::add_attach_steps(recipe, parent, child,
								partition::make_bound(parent, command->bound, unit.sql));
	table_close(child, NoLock);
}

void detach(ddl::Recipe *recipe, Relation parent, const PartitionCmd *command)
{
	Oid partition = RangeVarGetRelid(command->name, NoLock, false);
	partition::check_partition(parent, partition);
	partition::add_detach_steps(recipe, RelationGetRelid(parent), partition);
}

// Whether the sub-command has a recipe, which then has added its steps.
bool add_alter_table(ddl::Recipe *recipe, const Unit &unit, const Finding *unbounded)
{
	const auto *alter = castNode(AlterTableStmt, unit.statement);
	const auto *command = linitial_node(AlterTableCmd, alter->cmds);
	if (alter->objtype != OBJECT_TABLE)
		return false;
	Oid oid = RangeVarGetRelid(alter->relation, NoLock, alter->missing_ok);
	if (OidIsValid(oid))
		check_kind_for(command, oid);
	if (!OidIsValid(oid) || is_without_children(alter, oid))
		return false;
	Relation relation = ddl::open_owned_table(oid);
	bool added = true;
	switch (command->subtype) {
		case AT_AddConstraint:
			add_constraint(recipe, unit, relation);
			break;
		case AT_SetNotNull:
			constraint::add_not_null_steps(recipe, relation, command->name, nullptr);
			break;
		case AT_ValidateConstraint:
			constraint::add_validate_steps(recipe, relation,
										   constraint::stored_definition(relation, command->name));
			break;
		case AT_AttachPartition:
			attach(recipe, unit, relation, castNode(PartitionCmd, command->def));
			break;
		case AT_DetachPartition:
		case AT_DetachPartitionFinalize:
			detach(recipe, relation, castNode(PartitionCmd, command->def));
			break;
		case AT_AddColumn:
			if (unbounded && unbounded->definition)
				add_column(recipe, unit, relation, unbounded->definition);
			else
				added = false;
			break;
		case AT_DropConstraint:
			drop::add_constraint_steps(recipe, relation, command->name);
			break;
		case AT_DropColumn:
			drop::add_column_steps(recipe, relation, command->name);
			break;
		default:
			added = false;
	}
	table_close(relation, NoLock);
	return added;
}

// ---------------------------------------------------------------- indexes

void add_drop_indexes(ddl::Recipe *recipe, const DropStmt *drop)
{
	ListCell *cell;
	foreach (cell, drop->objects) {
		RangeVar *name = makeRangeVarFromNameList(lfirst_node(List, cell));
		Oid oid = RangeVarGetRelid(name, NoLock, drop->missing_ok);
		if (OidIsValid(oid))
			index::add_drop_steps(recipe, oid);
	}
}

// The server has no CONCURRENTLY for the rest of them in a transaction of a step.
void add_reindex(ddl::Recipe *recipe, const ReindexStmt *reindex)
{
	const char *tablespace = nullptr;
	ListCell *cell;
	foreach (cell, reindex->params) {
		auto *option = lfirst_node(DefElem, cell);
		if (strcmp(option->defname, "tablespace") == 0)
			tablespace = defGetString(option);
		else if (strcmp(option->defname, "verbose") != 0 &&
				 strcmp(option->defname, "concurrently") != 0)
			ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR),
							errmsg("unrecognized REINDEX option \"%s\"", option->defname)));
	}
	Oid oid = RangeVarGetRelid(reindex->relation, NoLock, false);
	if (tablespace && get_tablespace_oid(tablespace, false) == GLOBALTABLESPACE_OID)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("only shared relations can be placed in pg_global tablespace")));
	index::add_reindex_steps(recipe, oid, tablespace);
}

// ---------------------------------------------------------------- partitions

bool is_partition_of(const Node *statement)
{
	return IsA(statement, CreateStmt) &&
		   reinterpret_cast<const CreateStmt *>(statement)->partbound != nullptr;
}

void add_partition(ddl::Recipe *recipe, const Unit &unit)
{
	const auto *create = castNode(CreateStmt, unit.statement);
	Oid oid = RangeVarGetRelid(linitial_node(RangeVar, create->inhRelations), NoLock, false);
	Relation parent = ddl::open_owned_table(oid);
	partition::add_create_steps(recipe, parent, create, unit.sql);
	auto *step = static_cast<ddl::RecipeStep *>(llast(recipe->steps));
	step->as_written = true;
	step->undo = undo_of(unit);
	table_close(parent, NoLock);
}

// ---------------------------------------------------------------- drops

// Tables whose foreign keys go first, one by one.
void add_drop_tables(ddl::Recipe *recipe, const DropStmt *drop)
{
	ListCell *cell;
	foreach (cell, drop->objects) {
		RangeVar *name = makeRangeVarFromNameList(lfirst_node(List, cell));
		Oid oid = RangeVarGetRelid(name, NoLock, drop->missing_ok);
		if (!OidIsValid(oid))
			continue;
		Relation relation = ddl::open_owned_table(oid);
		drop::add_table_steps(recipe, relation);
		table_close(relation, NoLock);
	}
}

// False where they depend on each other, which only one statement can drop then.
bool add_drop_tables_one_by_one(ddl::Recipe *recipe, const DropStmt *drop)
{
	ddl::Recipe steps = {};
	ErrorData *error = pg::run_subtransaction([&] { add_drop_tables(&steps, drop); });
	if (error && (error->sqlerrcode != ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST ||
				  list_length(drop->objects) == 1))
		ReThrowError(error);
	if (error)
		return false;
	recipe->steps = list_concat(recipe->steps, steps.steps);
	recipe->owned = list_concat_unique_oid(recipe->owned, steps.owned);
	return true;
}

bool is_drop_of(const Node *statement, ObjectType type)
{
	return IsA(statement, DropStmt) &&
		   reinterpret_cast<const DropStmt *>(statement)->removeType == type &&
		   reinterpret_cast<const DropStmt *>(statement)->behavior == DROP_RESTRICT;
}

// ---------------------------------------------------------------- which way

constexpr const char *by_itself = "It has transactions of its own: run it by itself.";

bool is_made_by_execute(const Node *statement)
{
	return IsA(statement, CreateTableAsStmt) &&
		   IsA(reinterpret_cast<const CreateTableAsStmt *>(statement)->query, ExecuteStmt);
}

void refuse_what_is_no_ddl(const Unit &unit)
{
	if (is_made_by_execute(unit.statement))
		refuse_kind(unit, "It is about a prepared statement of this session.");
	switch (nodeTag(unit.statement)) {
		case T_TransactionStmt:
			refuse_kind(unit, "Each step has a transaction of its own.");
		case T_UpdateStmt:
			refuse_kind(unit, "Use safe_migrate.backfill().");
		case T_DeleteStmt:
			refuse_kind(unit, "Use safe_migrate.delete_safely().");
		case T_InsertStmt:
		case T_MergeStmt:
		case T_SelectStmt:
		case T_CopyStmt:
		case T_DoStmt:
		case T_CallStmt:
		case T_ExecuteStmt:
		case T_PrepareStmt:
		case T_DeallocateStmt:
		case T_ExplainStmt:
		case T_VariableSetStmt:
		case T_VariableShowStmt:
		case T_DeclareCursorStmt:
		case T_FetchStmt:
		case T_ClosePortalStmt:
		case T_LockStmt:
		case T_DiscardStmt:
		case T_NotifyStmt:
		case T_ListenStmt:
		case T_UnlistenStmt:
		case T_CheckPointStmt:
		case T_LoadStmt:
		case T_AlterSystemStmt:
			refuse_kind(unit, nullptr);
		case T_CreatedbStmt: // as they call PreventInTransactionBlock()
		case T_DropdbStmt:
		case T_AlterDatabaseStmt:
		case T_CreateTableSpaceStmt:
		case T_DropTableSpaceStmt:
		case T_CreateSubscriptionStmt:
		case T_AlterSubscriptionStmt:
		case T_DropSubscriptionStmt:
			refuse_kind(unit, by_itself);
		default:
			break;
	}
}

// ANALYZE of tables, which can do with the transaction that it finds.
bool is_analyze(const Node *statement)
{
	return IsA(statement, VacuumStmt) &&
		   !reinterpret_cast<const VacuumStmt *>(statement)->is_vacuumcmd &&
		   reinterpret_cast<const VacuumStmt *>(statement)->rels != NIL;
}

// Its lock stops who writes to it, which nobody can.
bool is_refresh_concurrently(const Node *statement)
{
	return IsA(statement, RefreshMatViewStmt) &&
		   reinterpret_cast<const RefreshMatViewStmt *>(statement)->concurrent;
}

bool is_detach_concurrently(const AlterTableCmd *command)
{
	return command->subtype == AT_DetachPartition &&
		   castNode(PartitionCmd, command->def)->concurrent;
}

// Sub-commands whose recipe is better than the statement however small the table is.
bool has_own_way(const Node *statement)
{
	if (!IsA(statement, AlterTableStmt))
		return false;
	const auto *alter = reinterpret_cast<const AlterTableStmt *>(statement);
	if (list_length(alter->cmds) > 1)
		return false; // brief as one
	const auto *command = linitial_node(AlterTableCmd, alter->cmds);
	// not a plain DETACH: brief as it stands, and concurrently it leaves a CHECK behind
	return command->subtype == AT_ValidateConstraint ||
		   command->subtype == AT_DetachPartitionFinalize || is_detach_concurrently(command) ||
		   (command->behavior == DROP_RESTRICT && !command->missing_ok &&
			(command->subtype == AT_DropConstraint || command->subtype == AT_DropColumn));
}

} // namespace

void add_steps(ddl::Recipe *recipe, const Unit &unit, bool *checks)
{
	refuse_what_is_no_ddl(unit);
	if (IsA(unit.statement, IndexStmt) && castNode(IndexStmt, unit.statement)->concurrent) {
		index::add_statement_steps(recipe, read_index(unit));
		return;
	}
	if (IsA(unit.statement, ReindexStmt) && castNode(ReindexStmt, unit.statement)->relation) {
		add_reindex(recipe, castNode(ReindexStmt, unit.statement));
		return;
	}
	if (is_drop_of(unit.statement, OBJECT_INDEX)) {
		add_drop_indexes(recipe, castNode(DropStmt, unit.statement));
		return;
	}
	if (is_drop_of(unit.statement, OBJECT_TABLE) &&
		add_drop_tables_one_by_one(recipe, castNode(DropStmt, unit.statement)))
		return;
	if (has_own_way(unit.statement) && add_alter_table(recipe, unit, nullptr))
		return;
	Effects *effects = effects_of(unit);
	const Finding *unbounded =
		is_refresh_concurrently(unit.statement) ? nullptr : first_unbounded(*effects);
	if (!unbounded && effects->commits_inside && !is_analyze(unit.statement))
		refuse_kind(unit, by_itself);
	if (!unbounded) {
		*checks = true;
		if (unit.parts == NIL) // else each has been looked at by itself
			check_as_it_stands(unit);
		need_owners(recipe, unit);
		*checks = false;
		add_as_it_stands(recipe, unit, *effects);
	} else if (IsA(unit.statement, IndexStmt))
		index::add_statement_steps(recipe, read_index(unit));
	else if (is_partition_of(unit.statement))
		add_partition(recipe, unit);
	else if (!IsA(unit.statement, AlterTableStmt) || !add_alter_table(recipe, unit, unbounded))
		no_safe_way(unit, *unbounded);
}

bool is_brief_as_one(const Unit &unit)
{
	bool brief = false;
	ErrorData *error = pg::try_undone([&] {
		Effects *effects = effects_of(unit);
		brief = !first_unbounded(*effects) && !effects->commits_inside;
	});
	return !error && brief;
}

List *touched_relations(const Unit &unit)
{
	List *relations = NIL;
	Effects *effects = effects_of(unit);
	for (int i = 0; i < effects->n; i++)
		if (OidIsValid(effects->findings[i].relation))
			relations = list_append_unique_oid(relations, effects->findings[i].relation);
	return relations;
}

bool loses_or_breaks(const Unit &unit)
{
	Effects *effects = effects_of(unit);
	for (int i = 0; i < effects->n; i++)
		if (effects->findings[i].effect == statement::Effect::data_loss ||
			effects->findings[i].effect == statement::Effect::client_break)
			return true;
	return false;
}

bool can_be_inline(const Unit &unit)
{
	if (IsA(unit.statement, IndexStmt))
		return !castNode(IndexStmt, unit.statement)->concurrent;
	if (IsA(unit.statement, AlterTableStmt))
		return !is_detach_concurrently(
			linitial_node(AlterTableCmd, castNode(AlterTableStmt, unit.statement)->cmds));
	if (IsA(unit.statement, ReindexStmt)) // what commits inside can't: partitioned, CONCURRENTLY
		return !effects_of(unit)->commits_inside;
	return !IsA(unit.statement, DropStmt) || !castNode(DropStmt, unit.statement)->concurrent;
}

} // namespace safe_migrate::operations::apply
