// See earlier.hpp.  An error that tells of a name is a matter of the earlier statements where they
// mention it; the names are those in its message, whatever the language of it.
#include "operations/apply/earlier.hpp"

#include "statement/identifiers.hpp"

extern "C" {
#include "common/keywords.h"
#include "nodes/value.h"
#include "utils/lsyscache.h"
}

namespace safe_migrate::operations::apply {

namespace {

// ---------------------------------------------------------------- what a statement is

bool any_command(const Node *statement, bool (*is)(AlterTableType type))
{
	if (!IsA(statement, AlterTableStmt))
		return false;
	ListCell *cell;
	foreach (cell, reinterpret_cast<const AlterTableStmt *>(statement)->cmds)
		if (is(lfirst_node(AlterTableCmd, cell)->subtype))
			return true;
	return false;
}

bool command_makes_room(AlterTableType type)
{
	return type == AT_DropColumn || type == AT_DropConstraint || type == AT_DetachPartition ||
		   type == AT_DropInherit || type == AT_DropExpression || type == AT_DropIdentity;
}

bool command_makes_names(AlterTableType type)
{
	return type == AT_AddColumn || type == AT_AddConstraint || type == AT_AddIdentity ||
		   type == AT_AttachPartition || type == AT_AddInherit || command_makes_room(type);
}

bool command_retypes(AlterTableType type) { return type == AT_AlterColumnType; }

bool command_gives_away(AlterTableType type) { return type == AT_ChangeOwner; }

// A foreign key, for which there may be no primary key yet.
bool refers(const Node *statement)
{
	if (!IsA(statement, AlterTableStmt))
		return false;
	ListCell *cell;
	foreach (cell, reinterpret_cast<const AlterTableStmt *>(statement)->cmds) {
		const auto *command = lfirst_node(AlterTableCmd, cell);
		if (command->subtype == AT_AddConstraint &&
			castNode(Constraint, command->def)->contype == CONSTR_FOREIGN)
			return true;
	}
	return false;
}

bool refers_to_itself(const Node *statement)
{
	if (!refers(statement))
		return false;
	const auto *alter = reinterpret_cast<const AlterTableStmt *>(statement);
	const auto *key = castNode(Constraint, linitial_node(AlterTableCmd, alter->cmds)->def);
	return strcmp(key->pktable->relname, alter->relation->relname) == 0;
}

bool makes_names(const Node *statement)
{
	return IsA(statement, AlterTableStmt) ? any_command(statement, command_makes_names)
										  : !IsA(statement, DropStmt);
}

bool makes_room(const Node *statement)
{
	return IsA(statement, DropStmt) || IsA(statement, RenameStmt) ||
		   IsA(statement, AlterObjectSchemaStmt) || IsA(statement, AlterDomainStmt) ||
		   IsA(statement, DropOwnedStmt) || IsA(statement, AlterExtensionContentsStmt) ||
		   any_command(statement, command_makes_room);
}

bool is_cascade(const Node *statement)
{
	if (IsA(statement, DropStmt))
		return reinterpret_cast<const DropStmt *>(statement)->behavior == DROP_CASCADE;
	if (IsA(statement, AlterTableStmt)) {
		ListCell *cell;
		foreach (cell, reinterpret_cast<const AlterTableStmt *>(statement)->cmds)
			if (lfirst_node(AlterTableCmd, cell)->behavior == DROP_CASCADE)
				return true;
		return false;
	}
	return IsA(statement, DropOwnedStmt) || IsA(statement, ReassignOwnedStmt) ||
		   IsA(statement, AlterDomainStmt) || IsA(statement, AlterExtensionContentsStmt);
}

// CREATE TABLE … (LIKE …), INHERITS, OF: columns that others name.
bool has_columns_of_others(const CreateStmt *create)
{
	if (create->inhRelations != NIL || create->ofTypename)
		return true;
	ListCell *cell;
	foreach (cell, create->tableElts)
		if (IsA(lfirst(cell), TableLikeClause))
			return true;
	return false;
}

bool makes_what_it_does_not_name(const Node *statement)
{
	switch (nodeTag(statement)) {
		case T_CreateSchemaStmt: // AUTHORIZATION …: the role's name
			return !reinterpret_cast<const CreateSchemaStmt *>(statement)->schemaname;
		case T_CreateStmt:
			return has_columns_of_others(reinterpret_cast<const CreateStmt *>(statement));
		case T_CreateExtensionStmt:
		case T_CreateRangeStmt: // its multirange type
		case T_AlterExtensionStmt:
		case T_ImportForeignSchemaStmt:
		case T_CreateTableAsStmt:
		case T_ViewStmt:
		case T_CreateCastStmt:
		case T_CreateOpClassStmt:
		case T_AlterOpFamilyStmt:
			return true;
		case T_DefineStmt:
			return reinterpret_cast<const DefineStmt *>(statement)->kind == OBJECT_OPERATOR;
		default:
			return false;
	}
}

// The relation that the statement is about, or what it drops.
List *own_names(const Node *statement)
{
	if (IsA(statement, AlterTableStmt))
		return list_make1(reinterpret_cast<const AlterTableStmt *>(statement)->relation->relname);
	if (IsA(statement, IndexStmt))
		return list_make1(reinterpret_cast<const IndexStmt *>(statement)->relation->relname);
	List *names = NIL;
	if (!IsA(statement, DropStmt))
		return names;
	ListCell *cell;
	foreach (cell, reinterpret_cast<const DropStmt *>(statement)->objects)
		if (IsA(lfirst(cell), List))
			names = lappend(names, strVal(llast(lfirst_node(List, cell))));
	return names;
}

// Relations whose names may mean something else after it.
List *moved_names(const Node *statement)
{
	switch (nodeTag(statement)) {
		case T_RenameStmt: {
			const auto *rename = reinterpret_cast<const RenameStmt *>(statement);
			return rename->relation && rename->renameType != OBJECT_COLUMN
					   ? list_make2(rename->relation->relname, rename->newname)
					   : NIL;
		}
		case T_AlterObjectSchemaStmt: {
			const auto *move = reinterpret_cast<const AlterObjectSchemaStmt *>(statement);
			return move->relation ? list_make1(move->relation->relname) : NIL;
		}
		case T_CreateStmt:
			return list_make1(reinterpret_cast<const CreateStmt *>(statement)->relation->relname);
		case T_CreateTableAsStmt:
			return list_make1(
				reinterpret_cast<const CreateTableAsStmt *>(statement)->into->rel->relname);
		case T_ViewStmt:
			return list_make1(reinterpret_cast<const ViewStmt *>(statement)->view->relname);
		case T_DropStmt:
			return own_names(statement);
		default:
			return NIL;
	}
}

bool is_primary(const Constraint *constraint) { return constraint->contype == CONSTR_PRIMARY; }

bool is_key(const Constraint *constraint)
{
	return constraint->contype == CONSTR_PRIMARY || constraint->contype == CONSTR_UNIQUE;
}

// Is it an ALTER TABLE whose only sub-command adds such a constraint?
bool adds(const Node *statement, bool (*is)(const Constraint *))
{
	if (!IsA(statement, AlterTableStmt))
		return false;
	const auto *command =
		linitial_node(AlterTableCmd, reinterpret_cast<const AlterTableStmt *>(statement)->cmds);
	if (command->subtype == AT_AddConstraint)
		return is(castNode(Constraint, command->def));
	ListCell *cell;
	foreach (cell, command->subtype == AT_AddColumn ? castNode(ColumnDef, command->def)->constraints
													: NIL)
		if (is(lfirst_node(Constraint, cell)))
			return true;
	return false;
}

// What a sub-command changes of its table: the column or constraint.
List *changed_names(const AlterTableCmd *command)
{
	const char *name = command->name;
	if (command->subtype == AT_AddColumn)
		name = castNode(ColumnDef, command->def)->colname;
	if (command->subtype == AT_AddConstraint)
		name = castNode(Constraint, command->def)->conname;
	return name ? list_make1(const_cast<char *>(name)) : NIL;
}

statement::Identifiers identifiers(const Unit &unit)
{
	return statement::identifiers_of(unit.sql, static_cast<int>(strlen(unit.sql)));
}

// ---------------------------------------------------------------- names in messages

bool in_word(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
		   c == '$' || IS_HIGHBIT_SET(c);
}

// Names that the server makes of others begin with them, cut where they would be too long.
bool is_made_of(const char *word, const char *name)
{
	constexpr size_t never_cut = 24;
	size_t length = strlen(name);
	return strncmp(word, name, Min(length, never_cut)) == 0 &&
		   (length >= never_cut || word[length] == '_');
}

bool is_name(const char *word, const char *name)
{
	size_t length = strlen(name);
	return strncmp(word, name, length) == 0 && !in_word(static_cast<unsigned char>(word[length]));
}

// Keywords are words of messages, too: as names they stand in quotes, after a dot or before a
// bracket.
bool is_in_text(const char *text, const char *name, bool only_made_of)
{
	if (!text)
		return false;
	if (strchr(name, '"')) // doubled in some messages
		return true;
	bool is_keyword = ScanKeywordLookup(name, &ScanKeywords) >= 0;
	for (const char *at = text; *at != '\0'; at++) {
		if (at > text && in_word(static_cast<unsigned char>(at[-1])) &&
			in_word(static_cast<unsigned char>(*name)) && !IS_HIGHBIT_SET(at[-1]))
			continue; // inside of a word
		if (is_keyword && (at == text || at[-1] == ' ') && at[strlen(name)] != '(')
			continue;
		if (is_made_of(at, name) || (!only_made_of && is_name(at, name)))
			return true;
	}
	return false;
}

bool has(const List *names, const char *name)
{
	ListCell *cell;
	foreach (cell, names)
		if (strcmp(static_cast<const char *>(lfirst(cell)), name) == 0)
			return true;
	return false;
}

bool mentions(const Unit &unit, const List *names)
{
	ListCell *cell;
	foreach (cell, names == NIL ? NIL : identifiers(unit).names)
		if (has(names, static_cast<const char *>(lfirst(cell))))
			return true;
	return false;
}

// Does the error tell of what an earlier statement mentions?  The name of the statement's own table
// says nothing, as long as it means the same table.
bool tells_of_earlier(const ErrorData *error, const Earlier &earlier, const List *own)
{
	ListCell *cell;
	foreach (cell, earlier.names) {
		const char *name = static_cast<const char *>(lfirst(cell));
		bool says_nothing = has(own, name) && !has(earlier.moved, name);
		if (is_in_text(error->message, name, says_nothing) ||
			is_in_text(error->detail, name, says_nothing))
			return true;
	}
	return false;
}

} // namespace

namespace {

void note_part_names(Earlier *earlier, const AlterTableStmt *alter)
{
	ListCell *cell;
	foreach (cell, alter->cmds)
		earlier->names =
			list_concat(earlier->names, changed_names(lfirst_node(AlterTableCmd, cell)));
}

void note_all_names(Earlier *earlier, const Unit &unit, const List *touched)
{
	statement::Identifiers found = identifiers(unit);
	earlier->any_name = earlier->any_name || found.all;
	earlier->names = list_concat(earlier->names, found.names);
	ListCell *cell;
	foreach (cell, touched) // partitions get names made of theirs
		if (char *name = get_rel_name(lfirst_oid(cell)))
			earlier->names = lappend(earlier->names, name);
}

bool retypes(const Node *statement) { return any_command(statement, command_retypes); }

// Of other statements anything; a sub-command of the same ALTER TABLE only where it says so.
bool may_drop(const Earlier &earlier) { return !earlier.parts || earlier.drops; }

// Does it name a column, besides the table, that an earlier sub-command names?
bool names_again(const Unit &unit, const Earlier &earlier, const List *own)
{
	ListCell *cell;
	foreach (cell, identifiers(unit).names) {
		const char *name = static_cast<const char *>(lfirst(cell));
		if (!has(own, name) && has(earlier.names, name))
			return true;
	}
	return false;
}

} // namespace

void note_earlier(Earlier *earlier, const Unit &unit, const List *touched)
{
	const Node *statement = unit.statement;
	earlier->relations = list_concat_unique_oid(earlier->relations, touched);
	if (earlier->parts && IsA(statement, AlterTableStmt))
		note_part_names(earlier, reinterpret_cast<const AlterTableStmt *>(statement));
	else
		note_all_names(earlier, unit, touched);
	earlier->moved = list_concat(earlier->moved, moved_names(statement));
	earlier->any_name =
		earlier->any_name || (!earlier->parts && makes_what_it_does_not_name(statement));
	earlier->creates = earlier->creates || makes_names(statement);
	earlier->drops = earlier->drops || makes_room(statement);
	earlier->cascades = earlier->cascades || is_cascade(statement);
	earlier->retypes = earlier->retypes || any_command(statement, command_retypes);
	earlier->grants = earlier->grants || IsA(statement, GrantRoleStmt) ||
					  IsA(statement, AlterRoleStmt) || IsA(statement, CreateRoleStmt) ||
					  IsA(statement, AlterOwnerStmt) || IsA(statement, ReassignOwnedStmt) ||
					  any_command(statement, command_gives_away);
	earlier->keys = earlier->keys || adds(statement, is_key);
	earlier->values = earlier->values || IsA(statement, AlterEnumStmt);
}

bool may_come_to_be(const Earlier &earlier, const ErrorData *error, const Unit &unit, bool touched,
					bool checks)
{
	// one that an earlier one has made can be dropped
	const List *own =
		IsA(unit.statement, DropStmt) && error->sqlerrcode != ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST
			? NIL
			: own_names(unit.statement);
	int category = ERRCODE_TO_CATEGORY(error->sqlerrcode);
	switch (error->sqlerrcode) {
		case ERRCODE_UNDEFINED_FUNCTION: // and operators
		case ERRCODE_UNDEFINED_OBJECT:	 // and operator classes
			if ((touched && earlier.retypes) ||
				(earlier.parts ? earlier.keys && refers_to_itself(unit.statement)
							   : earlier.creates && refers(unit.statement)) ||
				(checks && touched && retypes(unit.statement) && may_drop(earlier)))
				return true;
			[[fallthrough]];
		case ERRCODE_UNDEFINED_COLUMN:
		case ERRCODE_INVALID_SCHEMA_NAME:
			return earlier.any_name || mentions(unit, earlier.moved) ||
				   tells_of_earlier(error, earlier, own);
		case ERRCODE_UNDEFINED_TABLE:
		case ERRCODE_INVALID_FOREIGN_KEY: // the key that it refers to
			return earlier.any_name ||
				   (earlier.parts && earlier.keys && refers_to_itself(unit.statement)) ||
				   tells_of_earlier(error, earlier, NIL);
		case ERRCODE_INSUFFICIENT_PRIVILEGE:
			return earlier.grants || tells_of_earlier(error, earlier, NIL);
		case ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST:
			return earlier.cascades || earlier.any_name || tells_of_earlier(error, earlier, own) ||
				   (checks && touched && !earlier.parts && !IsA(unit.statement, DropStmt));
		case ERRCODE_DUPLICATE_TABLE: // what goes with a table or column has names of its own
		case ERRCODE_DUPLICATE_COLUMN:
		case ERRCODE_DUPLICATE_OBJECT:
		case ERRCODE_DUPLICATE_SCHEMA:
		case ERRCODE_DUPLICATE_FUNCTION:
		case ERRCODE_INVALID_OBJECT_DEFINITION: // a partition that would overlap another
			return earlier.drops && (!earlier.parts || tells_of_earlier(error, earlier, own));
		case ERRCODE_INVALID_TABLE_DEFINITION: // a second primary key
			if (checks && ((touched && !earlier.parts) || tells_of_earlier(error, earlier, own)))
				return true;
			return !earlier.parts || adds(unit.statement, is_primary)
					   ? earlier.drops || earlier.creates
					   : tells_of_earlier(error, earlier, own);
		case ERRCODE_FEATURE_NOT_SUPPORTED: // what uses a column, which can be dropped
			return checks &&
				   ((touched && (may_drop(earlier) || earlier.retypes)) || earlier.cascades ||
					earlier.any_name || tells_of_earlier(error, earlier, own));
		default:
			if (earlier.parts)
				return tells_of_earlier(error, earlier, own) ||
					   (category == ERRCODE_DATA_EXCEPTION && earlier.retypes &&
						names_again(unit, earlier, own));
			return (checks && touched) ||
				   ((earlier.creates || touched) &&
					category == ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION) ||
				   ((earlier.values || touched) && category == ERRCODE_DATA_EXCEPTION);
	}
}

} // namespace safe_migrate::operations::apply
