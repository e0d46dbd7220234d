// See names.hpp.
#include "operations/apply/names.hpp"

#include "operations/apply/name_chooser.hpp"
#include "operations/ddl/sql.hpp"
#include "pg/transaction.hpp"

extern "C" {
#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "nodes/makefuncs.h"
#include "parser/parse_type.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

namespace safe_migrate::operations::apply {

namespace {

// ---------------------------------------------------------------- statements

void names_of_table(NameChooser *chooser, const CreateStmt *create)
{
	List *keys = NIL;
	ListCell *cell;
	foreach (cell, create->tableElts) {
		Node *element = static_cast<Node *>(lfirst(cell));
		if (IsA(element, ColumnDef))
			chooser->column(castNode(ColumnDef, element));
		else if (IsA(element, TableLikeClause))
			chooser->like(castNode(TableLikeClause, element));
		else if (IsA(element, Constraint))
			keys = lappend(keys, element);
	}
	foreach (cell, list_concat(keys, list_copy(create->constraints)))
		chooser->constraint(lfirst_node(Constraint, cell), nullptr);
	if (create->partbound)
		chooser->indexes_of(linitial_node(RangeVar, create->inhRelations));
}

void names_of_command(NameChooser *chooser, const AlterTableCmd *command)
{
	if (command->missing_ok)
		return;
	switch (command->subtype) {
		case AT_AddColumn:
			return chooser->column(castNode(ColumnDef, command->def));
		case AT_AddConstraint:
			return chooser->constraint(castNode(Constraint, command->def), nullptr);
		case AT_AddIdentity:
			return chooser->identity(castNode(Constraint, command->def), command->name);
		default:
			return;
	}
}

// One that is not there yet will be made by an earlier statement of the script.
void begin(NameChooser *chooser, const RangeVar *name)
{
	Oid oid = RangeVarGetRelid(name, NoLock, true);
	chooser->of = OidIsValid(oid) ? get_rel_name(oid) : name->relname;
	chooser->schema = OidIsValid(oid) ? get_rel_namespace(oid) : RangeVarGetCreationNamespace(name);
}

void names_of_alter_table(NameChooser *chooser, const AlterTableStmt *alter)
{
	begin(chooser, alter->relation);
	ListCell *cell;
	foreach (cell, alter->cmds)
		names_of_command(chooser, lfirst_node(AlterTableCmd, cell));
}

void names_of_index(NameChooser *chooser, const IndexStmt *create)
{
	if (create->idxname)
		return;
	begin(chooser, create->relation);
	chooser->index(list_concat_copy(create->indexParams, create->indexIncludingParams));
}

void names_of_statistics(NameChooser *chooser, const CreateStatsStmt *create)
{
	const Node *relation = static_cast<const Node *>(linitial(create->relations));
	if (create->defnames != NIL || !IsA(relation, RangeVar))
		return;
	begin(chooser, reinterpret_cast<const RangeVar *>(relation));
	List *columns = NIL;
	ListCell *cell;
	foreach (cell, create->exprs) {
		const auto *element = lfirst_node(StatsElem, cell);
		columns = lappend(columns, element->name ? element->name : const_cast<char *>("expr"));
	}
	chooser->statistics(columns);
}

void names_of_domain(NameChooser *chooser, const CreateDomainStmt *create)
{
	char *name;
	chooser->schema = QualifiedNameGetCreationNamespace(create->domainname, &name);
	chooser->of = name;
	ListCell *cell;
	foreach (cell, create->constraints) {
		const auto *constraint = lfirst_node(Constraint, cell);
		if (constraint->contype == CONSTR_CHECK && !constraint->conname)
			chooser->check(nullptr);
	}
}

void names_of_altered_domain(NameChooser *chooser, const AlterDomainStmt *alter)
{
	if (alter->subtype != 'C' || !IsA(alter->def, Constraint) ||
		castNode(Constraint, alter->def)->conname ||
		castNode(Constraint, alter->def)->contype != CONSTR_CHECK)
		return;
	Type domain = typenameType(nullptr, makeTypeNameFromNameList(alter->typeName), nullptr);
	const auto *form = reinterpret_cast<Form_pg_type>(GETSTRUCT(domain));
	chooser->of = pstrdup(NameStr(form->typname));
	chooser->schema = form->typnamespace;
	ReleaseSysCache(domain);
	chooser->check(nullptr);
}

// What there is only while the statement's own relation isn't: it makes nothing, or fails by a
// better message.
const RangeVar *made_by(const Node *statement)
{
	const auto *create = reinterpret_cast<const CreateStmt *>(statement);
	return IsA(statement, CreateStmt) || IsA(statement, CreateForeignTableStmt) ? create->relation
																				: nullptr;
}

void choose_names(NameChooser *chooser, const Node *statement)
{
	switch (nodeTag(statement)) {
		case T_CreateStmt:
		case T_CreateForeignTableStmt:
			chooser->of = made_by(statement)->relname;
			chooser->schema = RangeVarGetCreationNamespace(made_by(statement));
			return names_of_table(chooser, reinterpret_cast<const CreateStmt *>(statement));
		case T_AlterTableStmt:
			return names_of_alter_table(chooser, castNode(AlterTableStmt, statement));
		case T_IndexStmt:
			return names_of_index(chooser, castNode(IndexStmt, statement));
		case T_CreateStatsStmt:
			return names_of_statistics(chooser, castNode(CreateStatsStmt, statement));
		case T_CreateDomainStmt:
			return names_of_domain(chooser, castNode(CreateDomainStmt, statement));
		case T_AlterDomainStmt:
			return names_of_altered_domain(chooser, castNode(AlterDomainStmt, statement));
		default:
			return;
	}
}

// ---------------------------------------------------------------- the query

const char *word_of(Named kind)
{
	switch (kind) {
		case Named::relation:
			return "relation";
		case Named::constraint:
			return "constraint";
		default:
			return "statistics object";
	}
}

char *taken_text(const ChosenName &chosen)
{
	const char *name = ddl::literal(chosen.name);
	const char *relation = psprintf("(SELECT FROM pg_class WHERE relname = %s AND "
									"relnamespace = n.oid)",
									name);
	const char *constraint = psprintf("(SELECT FROM pg_constraint WHERE conname = %s AND "
									  "connamespace = n.oid)",
									  name);
	switch (chosen.kind) {
		case Named::relation:
			return chosen.is_key ? psprintf("EXISTS %s OR EXISTS %s", relation, constraint)
								 : psprintf("EXISTS %s", relation);
		case Named::constraint:
			return psprintf("EXISTS %s", constraint);
		default:
			return psprintf("EXISTS (SELECT FROM pg_statistic_ext WHERE stxname = %s AND "
							"stxnamespace = n.oid)",
							name);
	}
}

// Returns those that are taken.
char *query_of(const NameChooser &chooser, const Node *statement)
{
	StringInfoData sql;
	initStringInfo(&sql);
	const RangeVar *made = made_by(statement);
	const char *unless = made ? psprintf(" AND NOT EXISTS (SELECT FROM pg_class WHERE relname = %s "
										 "AND relnamespace = n.oid)",
										 ddl::literal(made->relname))
							  : "";
	ListCell *cell;
	foreach (cell, chooser.names) {
		const auto *chosen = static_cast<const ChosenName *>(lfirst(cell));
		const char *shown = psprintf("%s \"%s\"", word_of(chosen->kind), chosen->name);
		appendStringInfo(&sql, "%sSELECT %s FROM pg_namespace n WHERE nspname = %s AND (%s)%s",
						 sql.len > 0 ? " UNION ALL " : "", ddl::literal(shown),
						 ddl::literal(get_namespace_name(chooser.schema)), taken_text(*chosen),
						 unless);
	}
	return sql.data;
}

void leave_out(NameChooser *chooser, const List *names)
{
	List *left = NIL;
	ListCell *cell;
	foreach (cell, chooser->names)
		if (!is_among(names, static_cast<const ChosenName *>(lfirst(cell))->name))
			left = lappend(left, lfirst(cell));
	chooser->names = left;
}

} // namespace

char *names_of(const Unit &unit, Earlier *earlier)
{
	NameChooser chooser = {};
	ErrorData *error = pg::try_undone([&] { choose_names(&chooser, unit.statement); });
	if (error && error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		ReThrowError(error);
	if (error) // what is wrong with the statement is told elsewhere
		return nullptr;
	List *all = chooser.names;
	leave_out(&chooser, earlier->names);
	ListCell *cell;
	foreach (cell, all) {
		const auto *chosen = static_cast<const ChosenName *>(lfirst(cell));
		earlier->names = lappend(earlier->names, const_cast<char *>(chosen->name));
	}
	return chooser.names == NIL || earlier->any_name ? nullptr : query_of(chooser, unit.statement);
}

void expect_names(ddl::Recipe *recipe, const char *names)
{
	ListCell *cell;
	foreach (cell, recipe->steps) {
		auto *step = static_cast<ddl::RecipeStep *>(lfirst(cell));
		if (step->as_written)
			step->names = names;
	}
}

} // namespace safe_migrate::operations::apply
