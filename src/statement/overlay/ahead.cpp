// Renames that the rest of their transaction block takes back, as judge_renames() of guard/ finds
// them at commit.  Whatever can't be followed from here counts as not taken back.
#include "statement/overlay/overlay.hpp"

#include "statement/relations.hpp"

extern "C" {
#include "catalog/pg_class.h"
#include "nodes/value.h"
#include "utils/lsyscache.h"
}

namespace safe_migrate::statement::overlay {

namespace {

template <class T> const T *as(const Node *node) { return reinterpret_cast<const T *>(node); }

struct Ahead {
	const Overlay *overlay;
	const Finding *renamed; // with the name that it had
	List *made;				// RangeVar: what can stand for a table, created since
	bool path_is_known;		// no SET of the search_path since
	bool is_there;			// the name, by now
};

bool is(const char *a, const char *b) { return a != nullptr && b != nullptr && strcmp(a, b) == 0; }

bool is_name(const Ahead *ahead, const RangeVar *name)
{
	return is(name->relname, ahead->renamed->name);
}

const char *schema_of_new(const Ahead *ahead, const RangeVar *name)
{
	if (name->schemaname == nullptr && !ahead->path_is_known)
		return nullptr;
	return creation_schema(ahead->overlay, name);
}

void give(Ahead *ahead, const RangeVar *name)
{
	ahead->made = lappend(ahead->made, const_cast<RangeVar *>(name));
	if (is_name(ahead, name) && is(schema_of_new(ahead, name), ahead->renamed->schema))
		ahead->is_there = true;
}

// Of a name that was there before the rename, or has been created since, for a table; else nullptr.
const char *schema_of_table(const Ahead *ahead, const RangeVar *name)
{
	ListCell *cell;
	foreach (cell, ahead->made) {
		const RangeVar *made = lfirst_node(RangeVar, cell);
		if (is(made->relname, name->relname) &&
			(made->schemaname == name->schemaname || is(made->schemaname, name->schemaname)))
			return schema_of_new(ahead, made);
	}
	if (name->schemaname == nullptr && !ahead->path_is_known)
		return nullptr;
	Named named = resolve(ahead->overlay, name);
	if (named.is_new())
		return stands_for_table(named.script->kind) ? named.script->schema : nullptr;
	if (!OidIsValid(named.oid) || !stands_for_table(get_rel_relkind(named.oid)))
		return nullptr;
	return named.script != nullptr ? named.script->schema
								   : get_namespace_name(get_rel_namespace(named.oid));
}

// A table leaves its name for another one.
void move(Ahead *ahead, const RangeVar *from, const char *schema, const char *name)
{
	if (is_name(ahead, from))
		ahead->is_there = false;
	const char *own = schema_of_table(ahead, from);
	if (own != nullptr && is(name, ahead->renamed->name) &&
		is(schema != nullptr ? schema : own, ahead->renamed->schema))
		ahead->is_there = true;
}

bool has_name(const Ahead *ahead, const List *objects)
{
	ListCell *cell;
	foreach (cell, objects) {
		auto *object = static_cast<const Node *>(lfirst(cell));
		if (!IsA(object, List) || !IsA(llast(as<List>(object)), String) ||
			is(strVal(llast(as<List>(object))), ahead->renamed->name))
			return true;
	}
	return false;
}

bool is_followed_for_table(Ahead *ahead, const Node *statement)
{
	switch (nodeTag(statement)) {
		case T_CreateStmt:
			give(ahead, as<CreateStmt>(statement)->relation);
			return true;
		case T_CreateForeignTableStmt:
			give(ahead, as<CreateForeignTableStmt>(statement)->base.relation);
			return true;
		case T_ViewStmt:
			give(ahead, as<ViewStmt>(statement)->view);
			return true;
		case T_CreateTableAsStmt:
			give(ahead, as<CreateTableAsStmt>(statement)->into->rel);
			return true;
		case T_RenameStmt: {
			auto *rename = as<RenameStmt>(statement);
			if (rename->relation != nullptr && rename->subname == nullptr)
				move(ahead, rename->relation, nullptr, rename->newname);
			return rename->relation != nullptr || rename->renameType != OBJECT_SCHEMA;
		}
		case T_AlterObjectSchemaStmt: {
			auto *set = as<AlterObjectSchemaStmt>(statement);
			if (set->relation != nullptr)
				move(ahead, set->relation, set->newschema, set->relation->relname);
			return set->relation != nullptr;
		}
		case T_CreateSeqStmt:
			return !is_name(ahead, as<CreateSeqStmt>(statement)->sequence);
		case T_IndexStmt:
			return !is(as<IndexStmt>(statement)->idxname, ahead->renamed->name);
		default:
			return true;
	}
}

bool is_same_table(const Ahead *ahead, const RangeVar *name)
{
	return name != nullptr && (name->schemaname != nullptr || ahead->path_is_known) &&
		   resolve(ahead->overlay, name).oid == ahead->renamed->relation;
}

void alter_columns(Ahead *ahead, const AlterTableStmt *alter)
{
	ListCell *cell;
	if (!is_same_table(ahead, alter->relation))
		return;
	foreach (cell, alter->cmds) {
		auto *command = lfirst_node(AlterTableCmd, cell);
		if (command->subtype == AT_AddColumn &&
			is(castNode(ColumnDef, command->def)->colname, ahead->renamed->column))
			ahead->is_there = true;
		else if (command->subtype == AT_DropColumn && is(command->name, ahead->renamed->column))
			ahead->is_there = false;
	}
}

// The table has to keep its name.
bool is_followed_for_column(Ahead *ahead, const Node *statement)
{
	switch (nodeTag(statement)) {
		case T_AlterTableStmt:
			alter_columns(ahead, as<AlterTableStmt>(statement));
			return true;
		case T_AlterObjectSchemaStmt:
			return false;
		case T_RenameStmt: {
			auto *rename = as<RenameStmt>(statement);
			if (rename->relation == nullptr || rename->subname == nullptr)
				return false;
			if (rename->renameType != OBJECT_COLUMN || !is_same_table(ahead, rename->relation))
				return true;
			if (is(rename->newname, ahead->renamed->column))
				ahead->is_there = true;
			else if (is(rename->subname, ahead->renamed->column))
				ahead->is_there = false;
			return true;
		}
		default:
			return true;
	}
}

bool is_followed(Ahead *ahead, const Node *statement)
{
	switch (nodeTag(statement)) {
		case T_DoStmt:
		case T_CallStmt:
		case T_ExecuteStmt:
		case T_DropOwnedStmt:
			return false;
		case T_VariableSetStmt:
		case T_SelectStmt: // set_config()
			ahead->path_is_known = false;
			return true;
		case T_DropStmt:
			return as<DropStmt>(statement)->behavior != DROP_CASCADE &&
				   !has_name(ahead, as<DropStmt>(statement)->objects);
		default:
			return ahead->renamed->cause == Cause::rename_table
					   ? is_followed_for_table(ahead, statement)
					   : is_followed_for_column(ahead, statement);
	}
}

} // namespace

bool is_rename_taken_back(const Overlay *overlay, const List *statements, const Finding &renamed)
{
	bool table = renamed.cause == Cause::rename_table;
	bool column = renamed.cause == Cause::rename_column && renamed.column != nullptr;
	if (!overlay->in_block || renamed.name == nullptr || (!table && !column))
		return false;
	Ahead ahead = {overlay, &renamed, NIL, true, false};
	for (int i = overlay->statement_no; i < list_length(statements); i++) {
		const Node *statement = list_nth_node(RawStmt, statements, i)->stmt;
		if (!IsA(statement, TransactionStmt)) {
			if (!is_followed(&ahead, statement))
				return false;
			continue;
		}
		auto kind = as<TransactionStmt>(statement)->kind;
		if (kind == TRANS_STMT_ROLLBACK_TO)
			return false;
		if (kind != TRANS_STMT_SAVEPOINT && kind != TRANS_STMT_RELEASE)
			break;
	}
	return ahead.is_there;
}

} // namespace safe_migrate::statement::overlay
