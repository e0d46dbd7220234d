// What a statement changes, read from its parse tree, as if it had been carried out.
#include "statement/overlay/note.hpp"

#include "statement/identifiers.hpp"
#include "statement/overlay/code.hpp"
#include "statement/overlay/overlay.hpp"

extern "C" {
#include "catalog/pg_class.h"
#include "catalog/pg_trigger.h"
#include "nodes/nodeFuncs.h"
#include "nodes/value.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
}

namespace safe_migrate::statement::overlay {

namespace {

template <class T> const T *as(const Node *node) { return reinterpret_cast<const T *>(node); }

const char *last_name(const List *names) { return names == NIL ? "" : strVal(llast(names)); }

ScriptRelation *note_new(Overlay *overlay, const RangeVar *name, char kind,
						 OnCommitAction on_commit = ONCOMMIT_NOOP)
{
	ScriptRelation *relation = add_relation(overlay, name, kind);
	if (relation != nullptr)
		relation->until_commit = on_commit == ONCOMMIT_DROP;
	return relation;
}

// A foreign key of a relation, its own or the column's.
void note_table_element(Overlay *overlay, ScriptRelation *relation, Node *element)
{
	if (IsA(element, Constraint))
		return note_constraint(overlay, relation, castNode(Constraint, element), nullptr);
	if (!IsA(element, ColumnDef))
		return;
	ListCell *cell;
	foreach (cell, castNode(ColumnDef, element)->constraints) {
		auto *constraint = lfirst_node(Constraint, cell);
		if (constraint->contype == CONSTR_FOREIGN)
			note_constraint(overlay, relation, constraint, castNode(ColumnDef, element)->colname);
	}
}

void note_rows(Overlay *overlay, const RangeVar *name)
{
	ScriptRelation *relation = relation_of(overlay, name);
	if (relation != nullptr)
		relation->rows_by = overlay->statement_no;
}

// Rules and INSTEAD OF triggers.
void note_code(Overlay *overlay, const RangeVar *name)
{
	note_rows(overlay, name);
	if (ScriptRelation *relation = relation_of(overlay, name))
		relation->runs_code = true;
}

// What INSERT into it would add rows to.
void note_view(Overlay *overlay, const ViewStmt *create)
{
	Named base = {};
	const SelectStmt *query =
		IsA(create->query, SelectStmt) ? castNode(SelectStmt, create->query) : nullptr;
	if (query != nullptr && query->fromClause != NIL && query->withClause == nullptr) {
		auto *from = static_cast<Node *>(linitial(query->fromClause));
		if (IsA(from, RangeVar))
			base = resolve(overlay, castNode(RangeVar, from));
		if (IsA(from, RangeVar) && !base.exists() && overlay->unknown_by == 0)
			return; // fails
	}
	note_new(overlay, create->view, RELKIND_VIEW);
	note_rows(overlay, create->view);
	ScriptRelation *view = relation_of(overlay, create->view);
	if (view == nullptr)
		return;
	view->base_oid = base.oid;
	view->base = base.is_new() ? base.script : nullptr;
}

void note_create_table(Overlay *overlay, const CreateStmt *create, char kind)
{
	ScriptRelation *relation = note_new(overlay, create->relation, kind, create->oncommit);
	if (relation == nullptr)
		return;
	ListCell *cell;
	foreach (cell, create->tableElts)
		note_table_element(overlay, relation, static_cast<Node *>(lfirst(cell)));
	foreach (cell, create->inhRelations) {
		ScriptRelation *parent = relation_of(overlay, lfirst_node(RangeVar, cell));
		if (create->partbound != nullptr)
			relation->of = parent;
		if (parent != nullptr)
			note_parent(overlay, relation, parent);
	}
	ScriptRelation *type =
		create->ofTypename != nullptr ? type_of(overlay, create->ofTypename) : nullptr;
	if (type != nullptr)
		note_parent(overlay, relation, type);
}

void note_table_as(Overlay *overlay, const CreateTableAsStmt *create)
{
	ScriptRelation *relation =
		note_new(overlay, create->into->rel,
				 create->objtype == OBJECT_MATVIEW ? RELKIND_MATVIEW : RELKIND_RELATION,
				 create->into->onCommit);
	if (relation != nullptr && !create->into->skipData)
		relation->filled_by = overlay->statement_no;
	(void)note_rows_added(overlay, create->query);
}

void note_create_index(Overlay *overlay, const IndexStmt *create)
{
	ScriptRelation *table = relation_of(overlay, create->relation);
	if (table == nullptr)
		return;
	table->indexes_by = overlay->statement_no;
	if (create->idxname == nullptr)
		return;
	RangeVar name = *create->relation;
	name.relname = create->idxname;
	name.schemaname = const_cast<char *>(table->schema);
	ScriptRelation *index = add_relation(overlay, &name, RELKIND_INDEX);
	if (index == nullptr)
		return;
	index->of = table;
	index->is_unique = create->unique;
	MemoryContext caller = MemoryContextSwitchTo(overlay->memory);
	ListCell *cell;
	foreach (cell, create->indexParams) {
		auto *element = lfirst_node(IndexElem, cell);
		if (element->name == nullptr || create->whereClause != nullptr) {
			index->key = NIL;
			break;
		}
		index->key = lappend(index->key, makeString(pstrdup(element->name)));
	}
	MemoryContextSwitchTo(caller);
}

bool drops_relations(ObjectType type)
{
	return type == OBJECT_TABLE || type == OBJECT_VIEW || type == OBJECT_MATVIEW ||
		   type == OBJECT_INDEX || type == OBJECT_SEQUENCE || type == OBJECT_FOREIGN_TABLE;
}

// Of the name of a part, which comes last.
List *relation_part(const List *names)
{
	return list_truncate(list_copy(names), list_length(names) - 1);
}

void drop_with_views(Overlay *overlay, ScriptRelation *relation)
{
	drop_relation(overlay, relation);
	ListCell *cell;
	foreach (cell, views_of(overlay, relation))
		drop_with_views(overlay, static_cast<ScriptRelation *>(lfirst(cell)));
}

void note_drop_relation(Overlay *overlay, const List *names, DropBehavior behavior)
{
	Named named = resolve(overlay, range_var_of(names));
	if (!named.exists())
		return;
	ScriptRelation *relation = named.script;
	if (relation == nullptr)
		relation = record_of(overlay, named.oid);
	if (relation->of != nullptr)
		relation->of->indexes_by = overlay->statement_no;
	else if (OidIsValid(named.oid) && get_rel_relkind(named.oid) == RELKIND_INDEX)
		note_index_of(overlay, named.oid);
	if (behavior == DROP_CASCADE)
		drop_with_views(overlay, relation);
	else
		drop_relation(overlay, relation);
}

void note_drop(Overlay *overlay, const DropStmt *drop)
{
	ListCell *cell;
	foreach (cell, drop->objects) {
		auto *object = static_cast<Node *>(lfirst(cell));
		if (drops_relations(drop->removeType))
			note_drop_relation(overlay, castNode(List, object), drop->behavior);
		else if (drop->removeType == OBJECT_TRIGGER || drop->removeType == OBJECT_RULE)
			note_rows(overlay, range_var_of(relation_part(castNode(List, object))));
		else if (IsA(object, List) && drop->removeType != OBJECT_POLICY)
			note_object(overlay, IsA(llast(castNode(List, object)), String)
									 ? last_name(castNode(List, object))
									 : "");
		else if (IsA(object, TypeName))
			note_object(overlay, last_name(castNode(TypeName, object)->names));
		else if (IsA(object, ObjectWithArgs))
			note_object(overlay, last_name(castNode(ObjectWithArgs, object)->objname));
		else if (IsA(object, String))
			note_object(overlay, strVal(object));
		if (drop->removeType == OBJECT_SCHEMA)
			note_dropped_schema(overlay, strVal(object), drop->behavior);
	}
	if (drop->removeType == OBJECT_CAST || drop->removeType == OBJECT_OPERATOR)
		overlay->casts_by = overlay->statement_no;
}

void note_rename(Overlay *overlay, const RenameStmt *rename)
{
	if (rename->relation == nullptr) {
		if (rename->subname != nullptr)
			note_object(overlay, rename->subname);
		if (rename->object != nullptr && IsA(rename->object, List))
			note_object(overlay, last_name(castNode(List, rename->object)));
		if (rename->object != nullptr && IsA(rename->object, ObjectWithArgs))
			note_object(overlay, last_name(castNode(ObjectWithArgs, rename->object)->objname));
		if (rename->renameType != OBJECT_DOMCONSTRAINT)
			note_object(overlay, rename->newname);
		if (rename->renameType == OBJECT_SCHEMA)
			note_renamed_schema(overlay, rename->subname, rename->newname);
		return;
	}
	ScriptRelation *relation = relation_of(overlay, rename->relation);
	if (relation == nullptr)
		return;
	if (rename->renameType == OBJECT_COLUMN || rename->renameType == OBJECT_ATTRIBUTE) {
		note_column_rename(overlay, relation, rename->subname, rename->newname);
	} else if (rename->renameType == OBJECT_TABCONSTRAINT) {
		note_constraint_rename(overlay, relation, rename->subname, rename->newname);
	} else if (rename->subname == nullptr && !is_taken(overlay, relation->schema, rename->newname))
		rename_relation(overlay, relation, relation->schema, rename->newname);
}

void note_set_schema(Overlay *overlay, const AlterObjectSchemaStmt *move)
{
	if (move->relation != nullptr) {
		ScriptRelation *relation = relation_of(overlay, move->relation);
		if (relation != nullptr && !is_taken(overlay, move->newschema, relation->name) &&
			(schema_exists(overlay, move->newschema) || overlay->unknown_by != 0))
			rename_relation(overlay, relation, move->newschema, relation->name);
		return;
	}
	if (IsA(move->object, List) && IsA(llast(castNode(List, move->object)), String))
		note_object(overlay, last_name(castNode(List, move->object)));
	else if (IsA(move->object, ObjectWithArgs))
		note_object(overlay, last_name(castNode(ObjectWithArgs, move->object)->objname));
}

void note_create_schema(Overlay *overlay, const CreateSchemaStmt *create)
{
	const char *schema =
		create->schemaname != nullptr ? create->schemaname : create->authrole->rolename;
	if (schema == nullptr || schema_exists(overlay, schema))
		return; // fails, or has no elements
	note_new_schema(overlay, schema);
	List *path = overlay->search_path;
	overlay->search_path = lcons(pstrdup(schema), list_copy(path));
	ListCell *cell;
	foreach (cell, create->schemaElts) {
		auto *element = static_cast<Node *>(copyObjectImpl(lfirst(cell)));
		RangeVar *name = IsA(element, CreateStmt)	   ? castNode(CreateStmt, element)->relation
						 : IsA(element, ViewStmt)	   ? castNode(ViewStmt, element)->view
						 : IsA(element, CreateSeqStmt) ? castNode(CreateSeqStmt, element)->sequence
													   : nullptr;
		if (name != nullptr && name->schemaname == nullptr)
			name->schemaname = pstrdup(schema);
		note_change(overlay, nullptr, element);
	}
	overlay->search_path = path;
}

void note_select(Overlay *overlay, const SelectStmt *select)
{
	ScriptRelation *made = select->intoClause != nullptr
							   ? note_new(overlay, select->intoClause->rel, RELKIND_RELATION)
							   : nullptr;
	if (made != nullptr)
		made->filled_by = overlay->statement_no;
	const bool is_plain = select->fromClause == NIL && select->whereClause == nullptr &&
						  select->withClause == nullptr && select->limitCount == nullptr &&
						  select->op == SETOP_NONE;
	if (!is_plain)
		return note_doings(overlay,
						   {false, sets_path(reinterpret_cast<const Node *>(select)), NIL});
	ListCell *cell;
	foreach (cell, select->targetList) {
		Node *value = lfirst_node(ResTarget, cell)->val;
		if (!IsA(value, FuncCall) || !note_set_config(overlay, castNode(FuncCall, value)))
			note_doings(overlay, {false, sets_path(value), NIL});
	}
}

// Types, functions, operators …: known by name.
bool note_other_object(Overlay *overlay, const Node *statement)
{
	switch (nodeTag(statement)) {
		case T_CreateEnumStmt:
			note_object(overlay, last_name(as<CreateEnumStmt>(statement)->typeName),
						ObjectKind::plain_type);
			return true;
		case T_CreateRangeStmt:
			note_object(overlay, last_name(as<CreateRangeStmt>(statement)->typeName),
						ObjectKind::plain_type);
			return true;
		case T_CompositeTypeStmt:
			note_object(overlay, as<CompositeTypeStmt>(statement)->typevar->relname,
						ObjectKind::plain_type);
			return true;
		case T_CreateDomainStmt:
			note_object(overlay, last_name(as<CreateDomainStmt>(statement)->domainname));
			return true;
		case T_AlterDomainStmt:
			note_object(overlay, last_name(as<AlterDomainStmt>(statement)->typeName));
			return true;
		case T_CreateFunctionStmt:
			note_function(overlay, as<CreateFunctionStmt>(statement));
			note_object(overlay, last_name(as<CreateFunctionStmt>(statement)->funcname));
			return true;
		case T_AlterFunctionStmt:
			note_object(overlay, last_name(as<AlterFunctionStmt>(statement)->func->objname));
			return true;
		case T_DefineStmt:
			note_object(overlay, last_name(as<DefineStmt>(statement)->defnames));
			if (as<DefineStmt>(statement)->kind == OBJECT_OPERATOR)
				overlay->casts_by = overlay->statement_no;
			return true;
		case T_CreateCastStmt:
		case T_CreateOpClassStmt:
		case T_AlterOpFamilyStmt:
		case T_AlterOperatorStmt:
			overlay->casts_by = overlay->statement_no;
			overlay->changes = true;
			return true;
		default:
			return false;
	}
}

// What makes something; false: not of these.
bool note_created(Overlay *overlay, const Node *statement)
{
	switch (nodeTag(statement)) {
		case T_CreateStmt:
			note_create_table(overlay, as<CreateStmt>(statement),
							  as<CreateStmt>(statement)->partspec != nullptr
								  ? RELKIND_PARTITIONED_TABLE
								  : RELKIND_RELATION);
			return true;
		case T_CreateForeignTableStmt:
			note_create_table(overlay, &as<CreateForeignTableStmt>(statement)->base,
							  RELKIND_FOREIGN_TABLE);
			return true;
		case T_CreateTableAsStmt:
			note_table_as(overlay, as<CreateTableAsStmt>(statement));
			return true;
		case T_ViewStmt:
			note_view(overlay, as<ViewStmt>(statement));
			return true;
		case T_RuleStmt:
			note_code(overlay, as<RuleStmt>(statement)->relation);
			return true;
		case T_CreateTrigStmt:
			if ((as<CreateTrigStmt>(statement)->timing & TRIGGER_TYPE_INSTEAD) != 0)
				note_code(overlay, as<CreateTrigStmt>(statement)->relation);
			else
				note_trigger(overlay, as<CreateTrigStmt>(statement));
			return true;
		case T_CreateSeqStmt:
			(void)note_new(overlay, as<CreateSeqStmt>(statement)->sequence, RELKIND_SEQUENCE);
			return true;
		case T_IndexStmt:
			note_create_index(overlay, as<IndexStmt>(statement));
			return true;
		case T_CreateSchemaStmt:
			note_create_schema(overlay, as<CreateSchemaStmt>(statement));
			return true;
		default:
			return false;
	}
}

// What runs what nobody sees here: extensions' scripts, procedures, code; false: not of these.
bool note_run(Overlay *overlay, const char *text, const Node *statement)
{
	switch (nodeTag(statement)) {
		case T_CreateExtensionStmt:
		case T_AlterExtensionStmt:
		case T_CallStmt:
		case T_ImportForeignSchemaStmt:
		case T_ExecuteStmt:
		case T_DoStmt:
			break;
		default:
			return false;
	}
	overlay->unknown_by = overlay->statement_no;
	overlay->changes = true;
	if (IsA(statement, DoStmt))
		note_doings(overlay, doings_of_block(overlay, as<DoStmt>(statement), text));
	else if (IsA(statement, CallStmt))
		note_doings(overlay, doings_of_calls(overlay, statement));
	else if (IsA(statement, ExecuteStmt))
		(void)note_rows_added(overlay, statement);
	ListCell *cell;
	foreach (cell, IsA(statement, DoStmt)
					   ? identifiers_of(text, static_cast<int>(strlen(text))).names
					   : NIL)
		note_unseen(overlay, static_cast<const char *>(lfirst(cell)));
	return true;
}

void note_rights(Overlay *overlay, const Node *statement)
{
	(void)note_other_object(overlay, statement);
	if (IsA(statement, GrantRoleStmt) ||
		(IsA(statement, GrantStmt) && as<GrantStmt>(statement)->objtype == OBJECT_SCHEMA) ||
		(IsA(statement, AlterOwnerStmt) &&
		 as<AlterOwnerStmt>(statement)->objectType == OBJECT_SCHEMA))
		overlay->rights_by = overlay->statement_no;
}

void note_discard(Overlay *overlay, const DiscardStmt *discard)
{
	if (discard->target == DISCARD_ALL)
		reset_settings(overlay);
	if (discard->target == DISCARD_ALL || discard->target == DISCARD_TEMP)
		drop_temporary(overlay, false);
}

} // namespace

void note_change(Overlay *overlay, const char *text, const Node *statement)
{
	if (note_created(overlay, statement) || note_run(overlay, text, statement))
		return;
	switch (nodeTag(statement)) {
		case T_AlterTableStmt: {
			auto *alter = as<AlterTableStmt>(statement);
			ScriptRelation *relation = relation_of(overlay, alter->relation);
			if (relation != nullptr)
				note_alter_table(overlay, relation, alter);
			return;
		}
		case T_CreatePublicationStmt:
		case T_AlterPublicationStmt:
			overlay->publications_by = overlay->statement_no;
			overlay->changes = true;
			return;
		case T_GrantStmt:
		case T_GrantRoleStmt:
		case T_AlterOwnerStmt:
			return note_rights(overlay, statement);
		case T_AlterTableMoveAllStmt:
			overlay->storage_by = overlay->statement_no;
			overlay->changes = true;
			return;
		case T_DropStmt:
			return note_drop(overlay, as<DropStmt>(statement));
		case T_RenameStmt:
			return note_rename(overlay, as<RenameStmt>(statement));
		case T_AlterObjectSchemaStmt:
			return note_set_schema(overlay, as<AlterObjectSchemaStmt>(statement));
		case T_VariableSetStmt:
			return note_set(overlay, as<VariableSetStmt>(statement));
		case T_DiscardStmt:
			return note_discard(overlay, as<DiscardStmt>(statement));
		case T_InsertStmt:
		case T_UpdateStmt:
		case T_DeleteStmt:
		case T_MergeStmt:
		case T_CopyStmt:
		case T_RefreshMatViewStmt:
			(void)note_rows_added(overlay, statement);
			return;
		case T_DeclareCursorStmt:
			return note_doings(overlay,
							   doings_of_calls(overlay, as<DeclareCursorStmt>(statement)->query));
		case T_PrepareStmt:
			return note_prepared(overlay, as<PrepareStmt>(statement));
		case T_SelectStmt:
			(void)note_rows_added(overlay, statement);
			return note_select(overlay, as<SelectStmt>(statement));
		default:
			(void)note_other_object(overlay, statement);
	}
}

ScriptRelation *relation_of(Overlay *overlay, const RangeVar *name)
{
	Named named = resolve(overlay, name);
	if (named.script != nullptr) {
		named.script->changed_by = overlay->statement_no;
		return named.script;
	}
	return OidIsValid(named.oid) ? record_of(overlay, named.oid) : nullptr;
}

} // namespace safe_migrate::statement::overlay
