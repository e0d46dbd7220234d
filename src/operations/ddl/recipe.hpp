// How a change of a schema is carried out without stopping anybody: an ordered list of steps, made
// when the job is queued.  plan() shows it, a worker runs it step by step, and inline work does the
// plain statements instead.
#pragma once
#include "jobs/job.hpp"
#include "jobs/queue.hpp"
#include "operations/call.hpp"
#include "pg/postgres.hpp"
#include "statement/effects.hpp"

extern "C" {
#include "nodes/pg_list.h"
#include "utils/relcache.h"
}

namespace safe_migrate::operations::ddl {

struct Recipe;
struct RecipeStep;

// A lock that a step takes before it runs its statement, in this order.
struct StepLock {
	Oid relation;
	statement::Lock mode;
};

// One step.  Texts are palloc'd; all names in them are quoted, and qualified where they can be.
struct RecipeStep {
	const char *kind;		 // its runner, operations/registry.cpp: "statement", "top level", …
	const char *sql;		 // what is run
	const char *description; // what a person reads; nullptr: the SQL itself
	const char *done; // a query on the catalog that returns true once the step's work is done
	StepLock *locks;
	int n_locks;
	bool descend;	  // the locks are taken on all that inherits from these relations too
	bool caller_path; // names in the SQL are found by the caller's search_path, else in pg_catalog
					  // alone (expressions that were resolved and deparsed)
	bool as_written;  // a statement of the user's: its undo is told anew when it is run
	const char *like; // of another one: the statement that stands for it when its undo is told anew
	bool reads_only;  // besides the catalog's own row: no throttle stops it
	// where rows can stand in the way: their number and some keys, for the error
	const char *count_query;
	const char *sample_query;
	const char *violation;	  // the error's message then; nullptr: the server's
	const char *cleanup;	  // what takes away what a failed try leaves, of the step's own kind: a
							  // statement that is run before each try and when the step has failed
	const char *cleanup_when; // where this query holds; nullptr: always
	// The SQL goes by a name: where this query no longer holds, another object may have it, and the
	// step fails rather than change that one; nullptr: not asked.
	const char *still;
	const char *still_what; // the object, for the error
	// Where this query holds, rows would be lost that nobody was asked about when the job was
	// queued: the guard is asked again; nullptr: never.
	const char *unjudged;
	int redo;		  // steps before this one that are to be done again after the cleanup
	const char *left; // what stays when the step fails, and what to do: a sentence for the HINT
	const char
		*definition; // of a kind with a definition of its own (backfill): instead of the above
	// of one that is planned when its turn comes: adds the steps that it stands for by now
	void (*plan)(Recipe *recipe, const RecipeStep &step);
	const char *names; // a query of those names that the server would have chosen when it was
					   // queued and that others have taken since; nullptr: it chooses none
	bool begun; // stored by its runner: its statement, which commits by itself, has been started
	// what plan() shows besides
	statement::Effect effect;
	int64 bytes;
	const char *undo; // SQL, or nullptr: can't be undone; of one that finds its work done: none
	int undo_until;	  // the step that many after this one, once done, takes that away; 0: none does
};

struct Recipe {
	const char *kind;			 // the function that was called: "create_index", …
	Oid relation;				 // the job's
	const char *relation_name;	 // qualified, quoted
	const char *definition_text; // the call, normalised: what a second call is compared by
	const char *search_path;	 // and where the text does not say it all; else nullptr
	List *steps;				 // of RecipeStep *
	List *plain;				 // of char *: the ordinary statements, for inline work
	List *relations;	// oids of tables with storage that decide whether it is done inline
	List *owned;		// oids of what else the steps change, besides the call's own relation
	const char *judged; // statements whose loss of data and breaking of clients the guard is asked
						// about when they are queued (permission.hpp); nullptr: has neither
	const char *temporary; // a relation that it would make for one session; nullptr: none
};

// For a call on one table, without steps; text: the call, normalised.
Recipe new_recipe(const char *kind, Oid relation, const char *text);

// Adds a zeroed step to the recipe.
RecipeStep *add_step(Recipe *recipe, const char *kind, const char *sql);
// The step's SQL means this relation, by the name that it has now (each that it is called with).
void expect_relation(RecipeStep *step, Oid relation);
void add_lock(RecipeStep *step, Oid relation, statement::Lock mode);

// The steps from that one on have nothing to do where this query on the catalog holds: others have
// done by hand what all of them are for.
void end_where(Recipe *recipe, int first, const char *query);

// The steps change this relation by statements of their own: error 42501 when the job is queued
// where the current user does not own it.  The plain statements may be content with the ownership
// of the table above it.
void need_owner(Recipe *recipe, Oid relation);
// The same of the relation and of all that inherits from it.
void need_owners(Recipe *recipe, Oid root);
bool is_own(Oid relation);
void check_owners(const Recipe &recipe);

// Nothing takes back the last step and, once it is done, those before it, from that one on: what
// they would need is gone, or what was there is part of what they made and would go with it.
void end_undo(Recipe *recipe, int first);

// A migration that is run again finds its job before it finds that there is nothing left to do: the
// id of the job of this owner, name and definition_text, 0 where the work is to be done.  To be
// asked before the steps are made: kind, relation and definition_text are enough.
jobs::JobId find_earlier(const Recipe &recipe, const Options &options);

// The recipe's steps as they are stored.
jobs::NewStep *stored_steps(const Recipe &recipe, int *n);

// May the plain statements be done in the caller's transaction, as the tables are small?
bool is_done_inline(const Recipe &recipe);

// Stores the job, or does the plain statements at once where safe_migrate.inline lets it.
jobs::JobId carry_out(const Recipe &recipe, const Options &options);

// The whole of a call on one table, which the current user must own (open_owned_table()): the id of
// the job that an earlier call made, or else what `plan` adds to the recipe is carried out.  kind
// and text as in new_recipe().
jobs::JobId carry_out_on_table(const char *kind, Oid table, const char *text,
							   const Options &options,
							   void (*plan)(void *arg, Recipe *recipe, Relation relation),
							   void *arg);
template <class F>
jobs::JobId carry_out_on_table(const char *kind, Oid table, const char *text,
							   const Options &options, F &&plan)
{
	using Fn = std::remove_reference_t<F>;
	return carry_out_on_table(
		kind, table, text, options,
		[](void *a, Recipe *recipe, Relation relation) {
			(*static_cast<Fn *>(a))(recipe, relation);
		},
		const_cast<void *>(static_cast<const void *>(&plan)));
}

} // namespace safe_migrate::operations::ddl
