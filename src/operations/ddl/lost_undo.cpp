// What a step has dropped for good takes the undo of earlier steps along.
#include "operations/ddl/step_run.hpp"

#include "jobs/store.hpp"
#include "statement/identifiers.hpp"

extern "C" {
#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "utils/syscache.h"
}

namespace safe_migrate::operations::ddl {

namespace {

// Columns that the step's statements drop, as a list of char *.
List *dropped_columns(const char *sql)
{
	List *names = NIL;
	ListCell *cell, *command;
	foreach (cell, raw_parser(sql, RAW_PARSE_DEFAULT)) {
		Node *statement = lfirst_node(RawStmt, cell)->stmt;
		if (!IsA(statement, AlterTableStmt))
			continue;
		foreach (command, castNode(AlterTableStmt, statement)->cmds)
			if (lfirst_node(AlterTableCmd, command)->subtype == AT_DropColumn)
				names = lappend(names, lfirst_node(AlterTableCmd, command)->name);
	}
	return names;
}

bool mentions(const char *sql, const List *columns)
{
	statement::Identifiers found = statement::identifiers_of(sql, static_cast<int>(strlen(sql)));
	ListCell *cell, *name;
	foreach (cell, columns)
		foreach (name, found.names)
			if (strcmp(static_cast<const char *>(lfirst(cell)),
					   static_cast<const char *>(lfirst(name))) == 0)
				return true;
	return false;
}

bool locks(const RecipeStep &step, Oid relation)
{
	for (int i = 0; i < step.n_locks; i++)
		if (step.locks[i].relation == relation)
			return true;
	return false;
}

// A relation that it is about is gone, or a column of one.
bool is_lost(const RecipeStep &earlier, const RecipeStep &step, const List *columns)
{
	for (int i = 0; i < earlier.n_locks; i++) {
		Oid relation = earlier.locks[i].relation;
		if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relation)) ||
			(columns != NIL && locks(step, relation) && mentions(earlier.undo, columns)))
			return true;
	}
	return false;
}

// What a column that is renamed back was called before.
List *earlier_names(const char *undo, List *columns)
{
	ListCell *cell, *name;
	foreach (cell, raw_parser(undo, RAW_PARSE_DEFAULT)) {
		Node *statement = lfirst_node(RawStmt, cell)->stmt;
		if (!IsA(statement, RenameStmt) ||
			castNode(RenameStmt, statement)->renameType != OBJECT_COLUMN)
			continue;
		foreach (name, columns)
			if (strcmp(castNode(RenameStmt, statement)->subname,
					   static_cast<const char *>(lfirst(name))) == 0)
				return lappend(columns, castNode(RenameStmt, statement)->newname);
	}
	return columns;
}

} // namespace

void forget_lost_undo(const StepRun &run)
{
	const jobs::StepContext &context = *run.context;
	List *columns = dropped_columns(run.step->sql);
	ListCell *cell;
	foreach (cell, jobs::load_steps_with_undo(context.job_id, context.step_no)) {
		const auto *row = static_cast<const jobs::StepRow *>(lfirst(cell));
		const RecipeStep *earlier = read_step(row->definition);
		if (!is_lost(*earlier, *run.step, columns))
			continue;
		jobs::set_undo(context.job_id, row->step_no, nullptr);
		columns = earlier_names(earlier->undo, columns);
	}
}

} // namespace safe_migrate::operations::ddl
