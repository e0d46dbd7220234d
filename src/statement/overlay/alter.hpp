// ALTER TABLE of a relation that is there, sub-command by sub-command: among the files that do it.
#pragma once
#include "statement/overlay/answer.hpp"

namespace safe_migrate::statement::overlay {

enum class Answer : uint8_t {
	live,	 // the catalog knows
	given,	 // from the overlay
	depends, // on what an earlier statement does
};

struct Alter {
	const Overlay *overlay;
	Analysis *analysis;
	const AlterTableStmt *statement;
	Oid relation;
	const ScriptRelation *record; // nullptr: unchanged so far
	int depends_on;
	const char *what;
};

Answer depends(Alter *alter, int statement_no, const char *what);
Answer depends_on_column(Alter *alter, const ScriptColumn *column);
Answer give(Alter *alter, Cause cause, Effect effect, Lock lock, const char *column,
			const char *object);
Answer only_locks(Alter *alter, Lock lock);

// Sub-commands on constraints; `lock` is the sub-command's.
Answer set_not_null(Alter *alter, const char *name, Lock lock);
Answer add_constraint(Alter *alter, const Constraint *constraint);
Answer validate(Alter *alter, const char *name);
Answer drop_constraint(Alter *alter, const char *name);

} // namespace safe_migrate::statement::overlay
