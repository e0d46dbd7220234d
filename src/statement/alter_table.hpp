// Between the files that judge the sub-commands of ALTER TABLE.
#pragma once
#include "pg/postgres.hpp"

#include "statement/relations.hpp"

namespace safe_migrate::statement {

// One ALTER TABLE under analysis.
struct AlterTable {
	Analysis *analysis;
	Oid relation;
	char kind;
	Lock lock;				  // AlterTableGetLockLevel(): of the whole list
	bool recurses;			  // without ONLY
	bool locks_descendants;	  // some sub-command reaches them
	List *commands;			  // of AlterTableCmd *
	List *dropped;			  // of char *: constraints that the statement itself drops, which
							  // happens before anything else
	List *reached;			  // see reached_by()
	const AlterTableCmd *now; // the sub-command that is being judged
};

// What the effect is on, as far as it has names.
struct Part {
	const char *column;
	const char *object;
	const char *definition;
	const char *facts;
	const char *type = nullptr;
	const char *expression = nullptr;
};

// The target first, then what a recursing sub-command reaches: nothing with ONLY.
List *reached_by(AlterTable *alter);

// An effect on these of the reached relations (all of them where the target is partitioned or
// among them is told of the target too, with the bytes of all).  Only what grows with the size, or
// loses data, is told of each; the others get their locks told.  `lock` is the descendants'.
void report(AlterTable *alter, Cause cause, Effect effect, List *relations, const Part &part,
			Lock lock);
void report(AlterTable *alter, Cause cause, Effect effect, List *relations, const Part &part);

// Nothing but the lock, on any relation, unless it is known already.
void report_lock(AlterTable *alter, Oid relation, Lock lock, const char *facts);

// Of an identity column, nothing else: who asks it for a value waits, too.  AlterSequence() takes
// ShareRowExclusive.
void lock_identity_sequence(AlterTable *alter, const char *column, Lock lock);

// What the same statement does before: drops first, types next, columns, constraints last.
bool adds_column(const AlterTable *alter, const char *name);
bool drops_column(const AlterTable *alter, const char *name);
const Constraint *added_constraint(const AlterTable *alter, const char *name); // nullptr: none

// ADD COLUMN and SET EXPRESSION
void analyse_add_column(AlterTable *alter, const AlterTableCmd *command);
void analyse_set_expression(AlterTable *alter, const AlterTableCmd *command);
// ALTER COLUMN TYPE: all of the statement at once, since a rewrite spares the rest
void analyse_alter_type(AlterTable *alter);
// SET NOT NULL, also as a constraint (18) and as a part of PRIMARY KEY
void analyse_set_not_null(AlterTable *alter, const char *column, bool is_inherited = true);
// ADD, VALIDATE, ALTER, DROP CONSTRAINT
void analyse_add_constraint(AlterTable *alter, const Constraint *constraint);
void analyse_column_constraint(AlterTable *alter, const char *column, const Constraint *constraint,
							   const char *definition, bool has_default);
void analyse_validate_constraint(AlterTable *alter, const char *name);
void analyse_alter_constraint(AlterTable *alter, const AlterTableCmd *command);
void analyse_drop_constraint(AlterTable *alter, const AlterTableCmd *command);
// DROP COLUMN
void analyse_drop_column(AlterTable *alter, const AlterTableCmd *command);
// SET LOGGED, UNLOGGED, ACCESS METHOD, TABLESPACE
void analyse_storage(AlterTable *alter, const AlterTableCmd *command);

} // namespace safe_migrate::statement
