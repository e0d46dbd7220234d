// See check.hpp.  CREATE TRIGGER, as CreateTriggerFiringOn() looks at it.
#include "operations/apply/check/check.hpp"
#include "operations/apply/check/expressions.hpp"

extern "C" {
#include "access/relation.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_clause.h"
#include "parser/parse_func.h"
#include "parser/parse_node.h"
#include "parser/parse_relation.h"
#include "rewrite/prs2lock.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
}

namespace safe_migrate::operations::apply {

namespace {

int16 type_of(const CreateTrigStmt *create)
{
	int row = create->row ? TRIGGER_TYPE_ROW : 0;
	return static_cast<int16>(row | create->timing | create->events);
}

[[noreturn]] void not_of(const char *kind, const char *name, const char *detail)
{
	ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg_internal(kind, name),
					errdetail_internal("%s", detail)));
	pg_unreachable();
}

// ---------------------------------------------------------------- what it is of

void check_of_table(const CreateTrigStmt *create, Relation relation)
{
	const char *name = RelationGetRelationName(relation);
	if (TRIGGER_FOR_INSTEAD(create->timing))
		not_of("\"%s\" is a table", name, "Tables cannot have INSTEAD OF triggers.");
	if (relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE && create->row &&
		create->transitionRels != NIL)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("\"%s\" is a partitioned table", name),
						errdetail("ROW triggers with transition tables are not supported on "
								  "partitioned tables.")));
}

void check_of_view(const CreateTrigStmt *create, const char *name)
{
	if (!TRIGGER_FOR_INSTEAD(create->timing) && create->row)
		not_of("\"%s\" is a view", name, "Views cannot have row-level BEFORE or AFTER triggers.");
	if (TRIGGER_FOR_TRUNCATE(create->events))
		not_of("\"%s\" is a view", name, "Views cannot have TRUNCATE triggers.");
}

void check_of_relation(const CreateTrigStmt *create, Relation relation)
{
	const char *name = RelationGetRelationName(relation);
	switch (relation->rd_rel->relkind) {
		case RELKIND_RELATION:
		case RELKIND_PARTITIONED_TABLE:
			check_of_table(create, relation);
			break;
		case RELKIND_VIEW:
			check_of_view(create, name);
			break;
		case RELKIND_FOREIGN_TABLE:
			break;
		default:
			refuse(ERRCODE_WRONG_OBJECT_TYPE, "relation \"%s\" cannot have triggers", name);
	}
	check_no_system_catalog(relation, name);
	if (create->isconstraint && create->constrrel)
		(void)RangeVarGetRelid(create->constrrel, NoLock, false);
}

void check_parts(const CreateTrigStmt *create)
{
	if (create->row && TRIGGER_FOR_TRUNCATE(create->events))
		refuse(ERRCODE_FEATURE_NOT_SUPPORTED, "TRUNCATE FOR EACH ROW triggers are not supported");
	if (!TRIGGER_FOR_INSTEAD(create->timing))
		return;
	if (!create->row)
		refuse(ERRCODE_FEATURE_NOT_SUPPORTED, "INSTEAD OF triggers must be FOR EACH ROW");
	if (create->whenClause)
		refuse(ERRCODE_FEATURE_NOT_SUPPORTED, "INSTEAD OF triggers cannot have WHEN conditions");
	if (create->columns != NIL)
		refuse(ERRCODE_FEATURE_NOT_SUPPORTED, "INSTEAD OF triggers cannot have column lists");
}

// ---------------------------------------------------------------- REFERENCING

void check_place_of_transition(const CreateTrigStmt *create, Relation relation)
{
	if (relation->rd_rel->relkind == RELKIND_VIEW)
		not_of("\"%s\" is a view", RelationGetRelationName(relation),
			   "Triggers on views cannot have transition tables.");
	if (create->row && has_superclass(RelationGetRelid(relation)))
		refuse(ERRCODE_FEATURE_NOT_SUPPORTED,
			   relation->rd_rel->relispartition
				   ? "ROW triggers with transition tables are not supported on partitions"
				   : "ROW triggers with transition tables are not supported on inheritance "
					 "children");
	int16 type = type_of(create);
	if (!TRIGGER_FOR_AFTER(type))
		refuse(ERRCODE_INVALID_OBJECT_DEFINITION,
			   "transition table name can only be specified for an AFTER trigger");
	if (TRIGGER_FOR_TRUNCATE(type))
		refuse(ERRCODE_FEATURE_NOT_SUPPORTED,
			   "TRUNCATE triggers with transition tables are not supported");
	int events = (TRIGGER_FOR_INSERT(type) ? 1 : 0) + (TRIGGER_FOR_UPDATE(type) ? 1 : 0) +
				 (TRIGGER_FOR_DELETE(type) ? 1 : 0);
	if (events != 1)
		refuse(ERRCODE_FEATURE_NOT_SUPPORTED,
			   "transition tables cannot be specified for triggers with more than one event");
	if (create->columns != NIL)
		refuse(ERRCODE_FEATURE_NOT_SUPPORTED,
			   "transition tables cannot be specified for triggers with column lists");
}

void check_transitions(const CreateTrigStmt *create, Relation relation)
{
	int16 type = type_of(create);
	const char *names[2] = {nullptr, nullptr}; // OLD, NEW
	ListCell *cell;
	foreach (cell, create->transitionRels) {
		const auto *transition = lfirst_node(TriggerTransition, cell);
		if (!transition->isTable)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("ROW variable naming in the REFERENCING clause is not supported"),
					 errhint("Use OLD TABLE or NEW TABLE for naming transition tables.")));
		check_place_of_transition(create, relation);
		bool has = TRIGGER_FOR_UPDATE(type) ||
				   (transition->isNew ? TRIGGER_FOR_INSERT(type) : TRIGGER_FOR_DELETE(type));
		if (!has)
			refuse(ERRCODE_INVALID_OBJECT_DEFINITION,
				   transition->isNew
					   ? "NEW TABLE can only be specified for an INSERT or UPDATE trigger"
					   : "OLD TABLE can only be specified for a DELETE or UPDATE trigger");
		if (names[transition->isNew])
			refuse(ERRCODE_INVALID_OBJECT_DEFINITION, "%s TABLE cannot be specified multiple times",
				   transition->isNew ? "NEW" : "OLD");
		names[transition->isNew] = transition->name;
	}
	if (names[0] && names[1] && strcmp(names[0], names[1]) == 0)
		refuse(ERRCODE_INVALID_OBJECT_DEFINITION,
			   "OLD TABLE name and NEW TABLE name cannot be the same");
}

// ---------------------------------------------------------------- WHEN

void check_old_reference(int16 type)
{
	if (!TRIGGER_FOR_ROW(type))
		refuse(ERRCODE_INVALID_OBJECT_DEFINITION,
			   "statement trigger's WHEN condition cannot reference column values");
	if (TRIGGER_FOR_INSERT(type))
		refuse(ERRCODE_INVALID_OBJECT_DEFINITION,
			   "INSERT trigger's WHEN condition cannot reference OLD values");
}

bool is_generated(Relation relation, AttrNumber number)
{
	TupleDesc columns = RelationGetDescr(relation);
	if (number == InvalidAttrNumber) // the whole row
		return columns->constr && columns->constr->has_generated_stored;
	return number > 0 && TupleDescAttr(columns, number - 1)->attgenerated != '\0';
}

void check_new_reference(int16 type, Relation relation, AttrNumber number)
{
	if (!TRIGGER_FOR_ROW(type))
		refuse(ERRCODE_INVALID_OBJECT_DEFINITION,
			   "statement trigger's WHEN condition cannot reference column values");
	if (TRIGGER_FOR_DELETE(type))
		refuse(ERRCODE_INVALID_OBJECT_DEFINITION,
			   "DELETE trigger's WHEN condition cannot reference NEW values");
	if (TRIGGER_FOR_BEFORE(type) && number < 0)
		refuse(ERRCODE_FEATURE_NOT_SUPPORTED,
			   "BEFORE trigger's WHEN condition cannot reference NEW system columns");
	if (TRIGGER_FOR_BEFORE(type) && is_generated(relation, number))
		refuse(ERRCODE_INVALID_OBJECT_DEFINITION,
			   "BEFORE trigger's WHEN condition cannot reference NEW generated columns");
}

void check_when(const CreateTrigStmt *create, Relation relation, const char *sql)
{
	ParseState *state = make_parsestate(nullptr);
	state->p_sourcetext = sql;
	add_relation(state, relation, "old");
	add_relation(state, relation, "new");
	Node *condition =
		transformWhereClause(state, static_cast<Node *>(copyObjectImpl(create->whenClause)),
							 EXPR_KIND_TRIGGER_WHEN, "WHEN");
	ListCell *cell;
	foreach (cell, pull_var_clause(condition, 0)) {
		const auto *var = lfirst_node(Var, cell);
		if (var->varno == PRS2_OLD_VARNO)
			check_old_reference(type_of(create));
		else
			check_new_reference(type_of(create), relation, var->varattno);
	}
}

// ---------------------------------------------------------------- names

void check_function(const CreateTrigStmt *create)
{
	Oid function = LookupFuncName(create->funcname, 0, nullptr, false);
	if (get_func_rettype(function) != TRIGGEROID)
		ereport(ERROR, (errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
						errmsg("function %s must return type %s",
							   NameListToString(create->funcname), "trigger")));
}

void check_columns(const CreateTrigStmt *create, Relation relation)
{
	List *numbers = NIL;
	ListCell *cell;
	foreach (cell, create->columns) {
		const char *name = strVal(lfirst(cell));
		AttrNumber number = get_attnum(RelationGetRelid(relation), name);
		if (number == InvalidAttrNumber)
			refuse(ERRCODE_UNDEFINED_COLUMN, "column \"%s\" of relation \"%s\" does not exist",
				   name, RelationGetRelationName(relation));
		if (list_member_int(numbers, number))
			refuse(ERRCODE_DUPLICATE_COLUMN, "column \"%s\" specified more than once", name);
		numbers = lappend_int(numbers, number);
	}
}

} // namespace

void check_trigger(const CreateTrigStmt *create, const char *sql)
{
	Relation relation = relation_openrv(create->relation, AccessShareLock);
	check_of_relation(create, relation);
	check_parts(create);
	check_transitions(create, relation);
	if (create->whenClause)
		check_when(create, relation, sql);
	check_function(create);
	if (!create->replace &&
		OidIsValid(get_trigger_oid(RelationGetRelid(relation), create->trigname, true)))
		ereport(ERROR, (errcode(ERRCODE_DUPLICATE_OBJECT),
						errmsg("trigger \"%s\" for relation \"%s\" already exists",
							   create->trigname, RelationGetRelationName(relation))));
	check_columns(create, relation);
	relation_close(relation, NoLock);
}

} // namespace safe_migrate::operations::apply
